#include "cec/session.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <list>
#include <mutex>
#include <set>

#include "cec/observer.h"
#include "exec/aligned.h"
#include "exec/arena.h"
#include "exec/op.h"

namespace cec {
namespace {

// Results of ops whose operands are all known are computed once, when the plan is made, up to this size.
constexpr size_t kFoldBytes = 1 << 16;
constexpr size_t kMaxPlans = 8;

/// Where the bytes of a tensor are.
struct Place {
  enum Kind : uint8_t { kNone, kArena, kFixed, kFeed, kOutput };
  Kind kind = kNone;
  int32_t index = 0;            // feed or output number, arena buffer number
  const void* fixed = nullptr;  // constants and folded results
};

struct Step {
  int32_t node = 0;
  std::unique_ptr<OpState> state;
  size_t scratch_bytes = 0;
  int32_t scratch_buffer = -1;
  bool view = false;   // nothing to run: the result is another shape of operand 0's bytes
  bool empty = false;  // nothing to run: no result has elements
  // Ranges of Plan::pointers and Plan::types.
  size_t inputs_at = 0, outputs_at = 0;
  int in_count = 0, out_count = 0;
};

/// Everything about one set of input shapes (and contents of inputs that shapes depend on).
struct Plan {
  std::string key;
  std::vector<TensorType> types;   // by tensor
  std::vector<Place> places;       // by tensor
  std::vector<Step> steps;
  std::vector<ArenaBuffer> buffers;
  size_t arena_bytes = 0;
  std::vector<std::shared_ptr<void>> folded;
  std::vector<int32_t> folded_tensors;
  std::vector<int32_t> tensor_of_pointer;         // for each operand slot of all steps; -1 absent
  std::vector<const TensorType*> types_of_slots;  // null where absent
  std::vector<void*> pointers;                    // filled at each run
  struct Copy {
    int32_t tensor;
    size_t output;
  };
  std::vector<Copy> copies;  // outputs that no step writes directly
};

std::string describe(const ProgramNode& node) { return "op \"" + node.name + "\" (" + node.kind + ")"; }

}  // namespace

struct Session::Impl {
  std::shared_ptr<const Program> program;
  SessionOptions options;
  ThreadPool pool;
  std::mutex mutex;
  struct Output {
    std::string name;
    int32_t tensor;
  };
  std::vector<Output> outputs;
  std::list<Plan> plans;  // most recently used first
  std::set<int32_t> value_inputs;  // input numbers whose contents plans depend on
  std::vector<int32_t> updated;    // for each output, the tensor of the input that it updates; -1
  std::vector<bool> must_fold;     // nodes that are computed when planning, whatever their size
  std::shared_ptr<void> arena;
  size_t arena_capacity = 0;
  mutable std::mutex profile_mutex;
  std::vector<uint64_t> nanoseconds, calls;
  size_t latest_arena = 0;
  // Of the run under way; kept, so that a run allocates nothing.
  std::string key;
  std::vector<void*> results;

  Impl(std::shared_ptr<const Program> p, SessionOptions o) : program(std::move(p)), options(std::move(o)), pool(options.threads) {
    for (const Program::Output& output : program->outputs()) outputs.push_back({output.name, output.tensor});
    for (const std::string& name : options.keep) {
      const int32_t tensor = program->find_tensor(name);
      if (tensor < 0) throw Error(codes::kArgument, "the program has no tensor \"" + name + "\" to keep");
      for (const Output& other : outputs) {
        if (other.name == name) throw Error(codes::kArgument, "the tensor \"" + name + "\" is already a result");
      }
      outputs.push_back({name, tensor});
    }
    read_updates();
    must_fold.assign(program->nodes().size(), false);
    if (options.profile) {
      nanoseconds.assign(program->nodes().size(), 0);
      calls.assign(program->nodes().size(), 0);
    }
  }

  void read_updates() {
    updated.assign(outputs.size(), -1);
    for (const auto& [from, to] : options.updates) {
      const int32_t input = program->find_tensor(from);
      const bool is_input = std::find(program->inputs().begin(), program->inputs().end(), input) != program->inputs().end();
      const auto output = std::find_if(outputs.begin(), outputs.end(), [&](const Output& o) { return o.name == to; });
      if (input < 0 || !is_input) throw Error(codes::kArgument, "the program has no input \"" + from + "\" to update");
      if (output == outputs.end()) throw Error(codes::kArgument, "the program has no output \"" + to + "\" to update \"" + from + "\" with");
      if (program->producer(output->tensor) < 0) throw Error(codes::kArgument, "the output \"" + to + "\" is no result of an op");
      const ProgramTensor& a = program->tensors()[static_cast<size_t>(input)];
      const ProgramTensor& b = program->tensors()[static_cast<size_t>(output->tensor)];
      if (a.dtype != b.dtype) throw Error(codes::kArgument, "the output \"" + to + "\" and the input \"" + from + "\" differ in type");
      int32_t& slot = updated[static_cast<size_t>(output - outputs.begin())];
      if (slot >= 0 || std::count(updated.begin(), updated.end(), input) != 0) throw Error(codes::kArgument, "\"" + from + "\" or \"" + to + "\" is updated twice");
      slot = input;
    }
  }

  void check_feeds(const std::vector<TensorView>& feeds) const {
    if (feeds.size() != program->inputs().size()) {
      throw Error(codes::kFeed, "the program has " + std::to_string(program->inputs().size()) + " inputs, " + std::to_string(feeds.size()) + " were given");
    }
    for (size_t i = 0; i < feeds.size(); ++i) {
      const ProgramTensor& tensor = program->tensors()[static_cast<size_t>(program->inputs()[i])];
      const TensorView& feed = feeds[i];
      if (feed.dtype != tensor.dtype) {
        throw Error(codes::kFeed, "input \"" + tensor.name + "\" must be " + name_of(tensor.dtype) + ", it is " + name_of(feed.dtype));
      }
      bool fits = feed.shape.rank() == static_cast<int>(tensor.dims.size());
      for (int d = 0; fits && d < feed.shape.rank(); ++d) fits = tensor.dims[static_cast<size_t>(d)] < 0 || tensor.dims[static_cast<size_t>(d)] == feed.shape[d];
      if (!fits) {
        std::string want = "[";
        for (size_t d = 0; d < tensor.dims.size(); ++d) want += (d == 0 ? "" : ", ") + (tensor.dims[d] < 0 ? std::string("?") : std::to_string(tensor.dims[d]));
        throw Error(codes::kFeed, "input \"" + tensor.name + "\" must have the shape " + want + "], it has " + feed.shape.to_string());
      }
      const size_t bytes = checked_bytes(feed.dtype, feed.shape);
      if (bytes != 0 && feed.data == nullptr) throw Error(codes::kFeed, "input \"" + tensor.name + "\" has no data");
    }
  }

  /// The key of the latest feeds, in memory that is kept.
  const std::string& key_of(const std::vector<TensorView>& feeds) {
    key.clear();
    for (const TensorView& feed : feeds) key.append(reinterpret_cast<const char*>(feed.shape.begin()), static_cast<size_t>(feed.shape.rank()) * sizeof(int64_t));
    for (int32_t i : value_inputs) {
      const TensorView& feed = feeds[static_cast<size_t>(i)];
      const size_t bytes = static_cast<size_t>(feed.shape.count()) * size_of(feed.dtype);
      if (bytes != 0) key.append(static_cast<const char*>(feed.data), bytes);
    }
    return key;
  }

  /// Marks everything that a tensor is computed from; the next plan computes it. False when nothing new was marked.
  bool mark_needed(int32_t tensor) {
    bool progress = false;
    std::vector<int32_t> todo{tensor};
    std::vector<bool> seen(program->tensors().size(), false);
    while (!todo.empty()) {
      const int32_t id = todo.back();
      todo.pop_back();
      if (id < 0 || seen[static_cast<size_t>(id)]) continue;
      seen[static_cast<size_t>(id)] = true;
      const int32_t node = program->producer(id);
      if (node >= 0) {
        progress = progress || !must_fold[static_cast<size_t>(node)];
        must_fold[static_cast<size_t>(node)] = true;
        if (!program->nodes()[static_cast<size_t>(node)].op->reads_operands()) continue;
        for (int32_t input : program->nodes()[static_cast<size_t>(node)].inputs) todo.push_back(input);
        continue;
      }
      for (size_t i = 0; i < program->inputs().size(); ++i) {
        if (program->inputs()[i] == id) progress = value_inputs.insert(static_cast<int32_t>(i)).second || progress;
      }
    }
    return progress;
  }

  Plan& plan_for(const std::vector<TensorView>& feeds) {
    for (;;) {
      key_of(feeds);
      for (auto it = plans.begin(); it != plans.end(); ++it) {
        if (it->key != key) continue;
        plans.splice(plans.begin(), plans, it);
        return plans.front();
      }
      try {
        Plan plan = make_plan(feeds);
        plan.key = key;
        plans.push_front(std::move(plan));
        if (plans.size() > kMaxPlans) plans.pop_back();
        return plans.front();
      } catch (const NeedValue& need) {
        if (!mark_needed(need.tensor)) throw Error(codes::kInternal, "planning needs a value that cannot be computed");
        plans.clear();  // their keys lack the new input
      }
    }
  }

  Plan make_plan(const std::vector<TensorView>& feeds) {
    const std::vector<ProgramNode>& nodes = program->nodes();
    const size_t tensor_count = program->tensors().size();
    Plan plan;
    plan.types.resize(tensor_count);
    plan.places.resize(tensor_count);
    std::vector<const void*> known(tensor_count, nullptr);
    // A tensor that shares bytes with another has that one's number here, others their own.
    std::vector<int32_t> root(tensor_count);
    for (size_t t = 0; t < tensor_count; ++t) {
      root[t] = static_cast<int32_t>(t);
      const ProgramTensor& tensor = program->tensors()[t];
      if (!tensor.is_constant) continue;
      plan.types[t] = TensorType{tensor.dtype, Shape(tensor.dims)};
      plan.places[t] = Place{Place::kFixed, 0, tensor.data};
      known[t] = tensor.data;
    }
    for (size_t i = 0; i < feeds.size(); ++i) {
      const size_t t = static_cast<size_t>(program->inputs()[i]);
      plan.types[t] = TensorType{feeds[i].dtype, feeds[i].shape};
      plan.places[t] = Place{Place::kFeed, static_cast<int32_t>(i), nullptr};
      if (value_inputs.count(static_cast<int32_t>(i)) != 0) {
        std::shared_ptr<void> copy = allocate_aligned(plan.types[t].bytes());
        if (plan.types[t].bytes() != 0) std::memcpy(copy.get(), feeds[i].data, plan.types[t].bytes());
        known[t] = copy.get();
        plan.folded.push_back(std::move(copy));
      }
    }

    // Last step that reads each tensor; outputs are read after the end.
    std::vector<int32_t> last_use(tensor_count, -1);
    for (size_t n = 0; n < nodes.size(); ++n) {
      for (int32_t id : nodes[n].inputs) {
        if (id >= 0) last_use[static_cast<size_t>(id)] = static_cast<int32_t>(n);
      }
    }
    // The first output that asks for a tensor lets its op write there; the others are copied.
    std::vector<int32_t> direct(tensor_count, -1);
    for (size_t o = 0; o < outputs.size(); ++o) {
      const size_t t = static_cast<size_t>(outputs[o].tensor);
      if (program->producer(outputs[o].tensor) >= 0 && direct[t] < 0) {
        direct[t] = static_cast<int32_t>(o);
      } else {
        plan.copies.push_back({outputs[o].tensor, o});
      }
    }

    struct Draft {
      Step step;
      std::vector<int> inplace;
      std::vector<std::pair<int, int>> overwrites;
      int view_of = -1;
    };
    std::vector<Draft> drafts;
    for (size_t n = 0; n < nodes.size(); ++n) {
      const ProgramNode& node = nodes[n];
      PrepareContext ctx;
      ctx.thread_count = pool.size();
      const bool reads = node.op->reads_operands();
      bool all_known = true;
      for (int32_t id : node.inputs) {
        PrepareContext::Operand operand;
        operand.tensor = id;
        if (id >= 0) {
          operand.type = &plan.types[static_cast<size_t>(id)];
          operand.value = known[static_cast<size_t>(id)];
          if (reads && operand.value == nullptr && operand.type->bytes() != 0 && !program->tensors()[static_cast<size_t>(id)].is_constant) all_known = false;
        }
        ctx.operands.push_back(operand);
      }
      ctx.results.resize(node.outputs.size());
      for (int32_t id : node.outputs) ctx.wanted.push_back(id >= 0);
      try {
        node.op->prepare(ctx);
        for (size_t o = 0; o < node.outputs.size(); ++o) {
          const int32_t id = node.outputs[o];
          if (id < 0) continue;
          const ProgramTensor& declared = program->tensors()[static_cast<size_t>(id)];
          if (ctx.results[o].dtype == DType::none) reject("the op gives no result " + std::to_string(o));
          if (ctx.results[o].dtype != declared.dtype) {
            reject("result \"" + declared.name + "\" is declared as " + name_of(declared.dtype) + ", the op gives " + ctx.results[o].to_string());
          }
          plan.types[static_cast<size_t>(id)] = ctx.results[o];
        }
      } catch (const Error& error) {
        throw Error(error.code, describe(node) + ": " + error.what());
      }

      size_t result_bytes = 0;
      for (const TensorType& type : ctx.results) result_bytes += type.bytes();
      if (must_fold[n] || (all_known && result_bytes <= kFoldBytes)) {
        fold(plan, n, ctx, known);
        continue;
      }
      Draft draft;
      draft.step.node = static_cast<int32_t>(n);
      draft.step.state = std::move(ctx.state);
      draft.step.scratch_bytes = ctx.scratch_bytes;
      draft.step.empty = result_bytes == 0;
      draft.inplace = std::move(ctx.inplace_with);
      draft.overwrites = std::move(ctx.overwrites);
      draft.view_of = ctx.view_of;
      drafts.push_back(std::move(draft));
    }

    place(plan, drafts, direct, last_use, root);
    return plan;
  }

  /// Updates whose op would write over an input that is still read are made by copies at the end.
  template <typename Draft>
  void copy_unsafe_updates(Plan& plan, const std::vector<Draft>& drafts, std::vector<int32_t>& direct, const std::vector<int32_t>& last_use, const std::vector<int32_t>& root) {
    if (options.updates.empty()) return;
    std::vector<int32_t> last = last_use;
    for (const Plan::Copy& copy : plan.copies) last[static_cast<size_t>(root[static_cast<size_t>(copy.tensor)])] = static_cast<int32_t>(program->nodes().size());
    for (const Draft& draft : drafts) {
      const ProgramNode& node = program->nodes()[static_cast<size_t>(draft.step.node)];
      for (size_t o = 0; o < node.outputs.size(); ++o) {
        const int32_t t = node.outputs[o];
        if (t < 0 || direct[static_cast<size_t>(t)] < 0) continue;
        const int32_t output = direct[static_cast<size_t>(t)], input = updated[static_cast<size_t>(output)];
        if (input < 0) continue;
        bool safe = last[static_cast<size_t>(input)] <= draft.step.node;
        for (size_t i = 0; safe && i < node.inputs.size(); ++i) {
          if (node.inputs[i] < 0 || root[static_cast<size_t>(node.inputs[i])] != input) continue;
          const std::pair<int, int> pair{static_cast<int>(o), static_cast<int>(i)};
          const bool in_step = o == 0 && std::find(draft.inplace.begin(), draft.inplace.end(), pair.second) != draft.inplace.end();
          safe = in_step || std::find(draft.overwrites.begin(), draft.overwrites.end(), pair) != draft.overwrites.end();
        }
        if (safe) continue;
        direct[static_cast<size_t>(t)] = -1;
        plan.copies.push_back({t, static_cast<size_t>(output)});
      }
    }
    // Copies of inputs go first: they are of the values before the run.
    std::stable_partition(plan.copies.begin(), plan.copies.end(), [&](const Plan::Copy& copy) { return plan.places[static_cast<size_t>(root[static_cast<size_t>(copy.tensor)])].kind == Place::kFeed; });
  }

  template <typename Draft>
  void place(Plan& plan, std::vector<Draft>& drafts, std::vector<int32_t>& direct, std::vector<int32_t>& last_use, std::vector<int32_t>& root) {
    const std::vector<ProgramNode>& nodes = program->nodes();
    // Views: the result shares its operand's bytes, unless it is a result that the caller gets.
    for (Draft& draft : drafts) {
      if (draft.view_of < 0) continue;
      const ProgramNode& node = nodes[static_cast<size_t>(draft.step.node)];
      const size_t from = static_cast<size_t>(node.inputs[static_cast<size_t>(draft.view_of)]);
      const int32_t to = node.outputs[0];
      if (to < 0 || direct[static_cast<size_t>(to)] >= 0) continue;
      root[static_cast<size_t>(to)] = root[from];
      int32_t& last = last_use[static_cast<size_t>(root[from])];
      last = std::max(last, last_use[static_cast<size_t>(to)]);
      draft.step.view = true;
    }
    copy_unsafe_updates(plan, drafts, direct, last_use, root);
    // Outputs that are copied at the end must live until then.
    for (const Plan::Copy& copy : plan.copies) last_use[static_cast<size_t>(root[static_cast<size_t>(copy.tensor)])] = static_cast<int32_t>(nodes.size());

    // A buffer is extended when an op writes in place into an operand that dies there.
    for (Draft& draft : drafts) {
      const ProgramNode& node = nodes[static_cast<size_t>(draft.step.node)];
      for (size_t o = 0; o < node.outputs.size() && !draft.step.view; ++o) {
        const int32_t id = node.outputs[o];
        if (id < 0) continue;
        const size_t t = static_cast<size_t>(id);
        Place& where = plan.places[t];
        if (direct[t] >= 0) {
          where = Place{Place::kOutput, direct[t], nullptr};
          continue;
        }
        const int32_t last = std::max(last_use[t], draft.step.node);
        if (o == 0) {
          for (int i : draft.inplace) {
            const int32_t operand = i < static_cast<int>(node.inputs.size()) ? node.inputs[static_cast<size_t>(i)] : -1;
            if (operand < 0) continue;
            const size_t r = static_cast<size_t>(root[static_cast<size_t>(operand)]);
            const Place& source = plan.places[r];
            if (source.kind != Place::kArena || last_use[r] != draft.step.node) continue;
            if (plan.types[t].bytes() == 0 || plan.types[r].bytes() != plan.types[t].bytes()) continue;
            // Another operand with the same bytes must be one that the op reads in step with its result.
            bool safe = true;
            for (size_t j = 0; j < node.inputs.size(); ++j) {
              if (node.inputs[j] < 0 || root[static_cast<size_t>(node.inputs[j])] != static_cast<int32_t>(r)) continue;
              if (std::find(draft.inplace.begin(), draft.inplace.end(), static_cast<int>(j)) == draft.inplace.end()) safe = false;
            }
            if (!safe) continue;
            where = source;
            ArenaBuffer& buffer = plan.buffers[static_cast<size_t>(source.index)];
            buffer.last = std::max(buffer.last, last);
            break;
          }
          if (where.kind != Place::kNone) continue;
        }
        where = Place{Place::kArena, static_cast<int32_t>(plan.buffers.size()), nullptr};
        plan.buffers.push_back(ArenaBuffer{plan.types[t].bytes(), draft.step.node, last, 0});
      }
      if (draft.step.view) plan.places[static_cast<size_t>(node.outputs[0])] = plan.places[static_cast<size_t>(root[static_cast<size_t>(node.outputs[0])])];
      if (!draft.step.view && draft.step.scratch_bytes != 0) {
        draft.step.scratch_buffer = static_cast<int32_t>(plan.buffers.size());
        plan.buffers.push_back(ArenaBuffer{draft.step.scratch_bytes, draft.step.node, draft.step.node, 0});
      }
    }
    // Folded results that the caller gets are copied.
    for (size_t o = 0; o < outputs.size(); ++o) {
      const int32_t t = outputs[o].tensor;
      if (direct[static_cast<size_t>(t)] == static_cast<int32_t>(o) && plan.places[static_cast<size_t>(t)].kind != Place::kOutput) plan.copies.push_back({t, o});
    }
    plan.arena_bytes = plan_arena(plan.buffers);
    if (plan.arena_bytes > static_cast<size_t>(kMaxTensorBytes)) throw Error(codes::kMemory, "the program would need more than 1 TiB of memory at these shapes");

    for (Draft& draft : drafts) {
      Step& step = draft.step;
      const ProgramNode& node = nodes[static_cast<size_t>(step.node)];
      step.in_count = static_cast<int>(node.inputs.size());
      step.out_count = static_cast<int>(node.outputs.size());
      step.inputs_at = plan.tensor_of_pointer.size();
      plan.tensor_of_pointer.insert(plan.tensor_of_pointer.end(), node.inputs.begin(), node.inputs.end());
      step.outputs_at = plan.tensor_of_pointer.size();
      plan.tensor_of_pointer.insert(plan.tensor_of_pointer.end(), node.outputs.begin(), node.outputs.end());
      plan.steps.push_back(std::move(step));
    }
    plan.pointers.assign(plan.tensor_of_pointer.size(), nullptr);
    for (int32_t id : plan.tensor_of_pointer) plan.types_of_slots.push_back(id < 0 ? nullptr : &plan.types[static_cast<size_t>(id)]);
  }

  /// Runs one op while planning; its results belong to the plan.
  void fold(Plan& plan, size_t n, const PrepareContext& ctx, std::vector<const void*>& known) {
    const ProgramNode& node = program->nodes()[n];
    std::vector<const void*> in;
    std::vector<const TensorType*> in_types;
    std::vector<void*> out;
    std::vector<const TensorType*> out_types;
    size_t result_bytes = 0;
    for (int32_t id : node.inputs) {
      const size_t t = static_cast<size_t>(id);
      if (node.op->reads_operands() && id >= 0 && known[t] == nullptr && plan.types[t].bytes() != 0 && !program->tensors()[t].is_constant) throw NeedValue{id};
      in.push_back(id < 0 ? nullptr : known[t]);
      in_types.push_back(id < 0 ? nullptr : &plan.types[t]);
    }
    for (size_t o = 0; o < node.outputs.size(); ++o) {
      if (node.outputs[o] < 0) {
        out.push_back(nullptr);
        out_types.push_back(nullptr);
        continue;
      }
      const size_t t = static_cast<size_t>(node.outputs[o]);
      plan.folded.push_back(allocate_aligned(plan.types[t].bytes()));
      out.push_back(plan.folded.back().get());
      out_types.push_back(&plan.types[t]);
      known[t] = out.back();
      plan.folded_tensors.push_back(node.outputs[o]);
      plan.places[t] = Place{Place::kFixed, 0, out.back()};
      result_bytes += plan.types[t].bytes();
    }
    if (result_bytes == 0) return;
    const std::shared_ptr<void> scratch = ctx.scratch_bytes == 0 ? nullptr : allocate_aligned(ctx.scratch_bytes);
    RunContext run;
    run.in = in.data();
    run.in_types = in_types.data();
    run.out = out.data();
    run.out_types = out_types.data();
    run.in_count = static_cast<int>(in.size());
    run.out_count = static_cast<int>(out.size());
    run.op_state = ctx.state.get();
    run.scratch_base = static_cast<char*>(scratch.get());
    run.thread_pool = &pool;
    try {
      node.op->run(run);
    } catch (const Error& error) {
      throw Error(error.code, describe(node) + ": " + error.what());
    }
  }

  MemoryPlan memory_plan(const std::vector<Shape>& inputs) {
    if (inputs.size() != program->inputs().size()) throw Error(codes::kFeed, "the program has " + std::to_string(program->inputs().size()) + " inputs, " + std::to_string(inputs.size()) + " shapes were given");
    // One block of zeros serves all inputs: planning reads few of them, and fresh pages take no memory until they are read.
    std::vector<TensorView> feeds;
    size_t most = 1;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const DType dtype = program->tensors()[static_cast<size_t>(program->inputs()[i])].dtype;
      most = std::max(most, checked_bytes(dtype, inputs[i]));
      feeds.push_back({dtype, inputs[i], nullptr});
    }
    const std::unique_ptr<void, decltype(&std::free)> zeros(std::calloc(most, 1), &std::free);
    if (zeros == nullptr) throw std::bad_alloc();
    for (TensorView& feed : feeds) feed.data = zeros.get();
    std::lock_guard<std::mutex> lock(mutex);
    check_feeds(feeds);
    const Plan& plan = plan_for(feeds);
    MemoryPlan out;
    out.arena_bytes = plan.arena_bytes;
    out.weight_bytes = program->constant_bytes();
    for (const Output& output : outputs) out.output_bytes += plan.types[static_cast<size_t>(output.tensor)].bytes();
    for (const ArenaBuffer& b : plan.buffers) {
      MemoryPlan::Buffer row;
      row.offset = b.offset;
      row.bytes = b.bytes;
      row.first = b.first;
      row.last = std::min(b.last, static_cast<int32_t>(program->nodes().size()) - 1);
      out.total_bytes += b.bytes;
      out.buffers.push_back(std::move(row));
    }
    for (const ProgramNode& node : program->nodes()) out.steps.push_back(node.name);
    for (const Step& step : plan.steps) {
      const ProgramNode& node = program->nodes()[static_cast<size_t>(step.node)];
      for (int32_t id : node.outputs) {
        if (id < 0 || plan.places[static_cast<size_t>(id)].kind != Place::kArena) continue;
        MemoryPlan::Buffer& row = out.buffers[static_cast<size_t>(plan.places[static_cast<size_t>(id)].index)];
        const std::string& name = program->tensors()[static_cast<size_t>(id)].name;
        if (row.name.empty()) {
          row.name = name;
        } else {
          row.shares.push_back(name);
        }
      }
      if (step.scratch_buffer < 0) continue;
      MemoryPlan::Buffer& row = out.buffers[static_cast<size_t>(step.scratch_buffer)];
      row.name = node.name;
      row.scratch = true;
    }
    for (size_t n = 0; n < out.steps.size(); ++n) {
      size_t live = 0;
      for (const MemoryPlan::Buffer& b : out.buffers) live += b.first <= static_cast<int32_t>(n) && static_cast<int32_t>(n) <= b.last ? b.bytes : 0;
      if (live > out.live_bytes) {
        out.live_bytes = live;
        out.live_step = static_cast<int32_t>(n);
      }
    }
    return out;
  }

  void run(const std::vector<TensorView>& feeds, const OutputAllocator& allocator, Observer* observer, const std::atomic<int32_t>* cancel) {
    std::lock_guard<std::mutex> lock(mutex);
    check_feeds(feeds);
    Plan& plan = plan_for(feeds);
    if (plan.arena_bytes > arena_capacity) {
      arena.reset();
      arena_capacity = 0;
      arena = allocate_aligned(plan.arena_bytes);
      arena_capacity = plan.arena_bytes;
    }
    latest_arena = plan.arena_bytes;
    char* const base = static_cast<char*>(arena.get());

    results.assign(outputs.size(), nullptr);
    for (size_t o = 0; o < outputs.size(); ++o) {
      const TensorType& type = plan.types[static_cast<size_t>(outputs[o].tensor)];
      results[o] = allocator(o, type);
      if (results[o] == nullptr && type.bytes() != 0) throw Error(codes::kMemory, "there is no memory for the result \"" + outputs[o].name + "\"");
    }
    const auto pointer = [&](int32_t id) -> void* {
      if (id < 0) return nullptr;
      const Place& place = plan.places[static_cast<size_t>(id)];
      switch (place.kind) {
        case Place::kArena: return base + plan.buffers[static_cast<size_t>(place.index)].offset;
        case Place::kFixed: return const_cast<void*>(place.fixed);
        case Place::kFeed: return const_cast<void*>(feeds[static_cast<size_t>(place.index)].data);
        case Place::kOutput: return results[static_cast<size_t>(place.index)];
        case Place::kNone: break;
      }
      return nullptr;
    };
    for (size_t slot = 0; slot < plan.pointers.size(); ++slot) plan.pointers[slot] = pointer(plan.tensor_of_pointer[slot]);

    const auto observe = [&](int32_t id) {
      if (id >= 0 && observer->watches(id)) observer->update(id, plan.types[static_cast<size_t>(id)], pointer(id), pool);
    };
    if (observer != nullptr) {
      for (int32_t id : program->inputs()) observe(id);
      for (int32_t id : plan.folded_tensors) observe(id);
    }

    for (const Step& step : plan.steps) {
      const ProgramNode& node = program->nodes()[static_cast<size_t>(step.node)];
      if (cancel != nullptr && cancel->load(std::memory_order_relaxed) != 0) throw Error(codes::kCancelled, "the run was cancelled before " + describe(node));
      if (!step.view && !step.empty) {
        RunContext ctx;
        ctx.in = plan.pointers.data() + step.inputs_at;
        ctx.in_types = plan.types_of_slots.data() + step.inputs_at;
        ctx.out = plan.pointers.data() + step.outputs_at;
        ctx.out_types = plan.types_of_slots.data() + step.outputs_at;
        ctx.in_count = step.in_count;
        ctx.out_count = step.out_count;
        ctx.op_state = step.state.get();
        ctx.scratch_base = step.scratch_buffer < 0 ? nullptr : base + plan.buffers[static_cast<size_t>(step.scratch_buffer)].offset;
        ctx.thread_pool = &pool;
        const auto begin = options.profile ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point();
        try {
          node.op->run(ctx);
        } catch (const Error& error) {
          throw Error(error.code, describe(node) + ": " + error.what());
        }
        if (options.profile) {
          const auto elapsed = std::chrono::steady_clock::now() - begin;
          std::lock_guard<std::mutex> guard(profile_mutex);
          nanoseconds[static_cast<size_t>(step.node)] += static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count());
          calls[static_cast<size_t>(step.node)] += 1;
        }
      }
      if (observer != nullptr) {
        for (int32_t id : node.outputs) observe(id);
      }
    }
    for (const Plan::Copy& copy : plan.copies) {
      const size_t bytes = plan.types[static_cast<size_t>(copy.tensor)].bytes();
      if (bytes != 0) std::memcpy(results[copy.output], pointer(copy.tensor), bytes);
    }
  }
};

Session::Session(std::shared_ptr<const Program> program, SessionOptions options) : impl_(new Impl(std::move(program), std::move(options))) {}
Session::~Session() = default;

const Program& Session::program() const { return *impl_->program; }
size_t Session::output_count() const { return impl_->outputs.size(); }
const std::string& Session::output_name(size_t index) const { return impl_->outputs[index].name; }
size_t Session::arena_bytes() const { return impl_->latest_arena; }
size_t Session::arena_capacity() const { return impl_->arena_capacity; }

MemoryPlan Session::memory_plan(const std::vector<Shape>& inputs) {
  try {
    return impl_->memory_plan(inputs);
  } catch (const std::bad_alloc&) {
    throw Error(codes::kMemory, "there is no memory for a plan at these shapes");
  } catch (const std::length_error&) {
    throw Error(codes::kMemory, "there is no memory for a plan at these shapes");
  }
}

void Session::run(const std::vector<TensorView>& feeds, const OutputAllocator& outputs, Observer* observer, const std::atomic<int32_t>* cancel) {
  if (observer != nullptr && &observer->program() != impl_->program.get()) throw Error(codes::kArgument, "the observer belongs to another program");
  try {
    impl_->run(feeds, outputs, observer, cancel);
  } catch (const std::bad_alloc&) {
    throw Error(codes::kMemory, "there is no memory for this run");
  } catch (const std::length_error&) {
    throw Error(codes::kMemory, "there is no memory for this run");
  }
}

std::vector<OwnedTensor> Session::run(const std::vector<TensorView>& feeds, Observer* observer) {
  std::vector<OwnedTensor> results(output_count());
  run(
      feeds,
      [&](size_t index, const TensorType& type) {
        results[index].type = type;
        results[index].data = allocate_aligned(type.bytes());
        return results[index].data.get();
      },
      observer);
  return results;
}

std::vector<OpProfile> Session::profile() const {
  std::lock_guard<std::mutex> guard(impl_->profile_mutex);
  std::vector<OpProfile> rows;
  for (size_t n = 0; n < impl_->nanoseconds.size(); ++n) {
    const ProgramNode& node = impl_->program->nodes()[n];
    rows.push_back({node.kind, node.name, impl_->nanoseconds[n], impl_->calls[n]});
  }
  return rows;
}

}  // namespace cec
