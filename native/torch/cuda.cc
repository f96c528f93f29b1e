#include "cuda.h"

#ifdef SEARCH_R1_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

#include <array>
#endif

namespace search_r1 {

#ifdef SEARCH_R1_CUDA

struct CudaState {
  std::vector<c10::cuda::CUDAStream> streams;
  std::unordered_map<uint32_t, std::unique_ptr<at::cuda::CUDAGraph>> graphs;
  std::unordered_map<uint32_t, at::cuda::CUDAEvent> events;
  std::vector<at::MempoolId_t> pools;
  uint32_t next = 1;
  uint32_t capturing = 0;
};

void CudaStateDeleter::operator()(CudaState* state) const { delete state; }

bool cudaBuilt() { return true; }

int cudaDevices() { return c10::cuda::device_count(); }

void cudaUse(State& state, int index) {
  if (index >= cudaDevices()) throw Misuse("there is no card " + std::to_string(index) + ": " + std::to_string(cudaDevices()) + " found");
  at::globalContext().lazyInitDevice(at::kCUDA);
  at::globalContext().setAllowTF32CuBLAS(false);
  c10::cuda::set_device(static_cast<c10::DeviceIndex>(index));
  if (!state.cuda) state.cuda.reset(new CudaState());
  const auto stream = c10::cuda::getStreamFromPool(true, static_cast<c10::DeviceIndex>(index));
  state.cuda->streams = {stream};
  c10::cuda::setCurrentCUDAStream(stream);
  state.device = at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
}

void cudaSynchronize(State& state) {
  if (state.cuda) c10::cuda::getCurrentCUDAStream().synchronize();
}

static CudaState& cudaOf(State& state) {
  if (!state.cuda) throw Misuse("the device is not a card");
  return *state.cuda;
}

using Callback = napi_value (*)(napi_env, CudaState&, const std::array<napi_value, 4>&);

template <Callback body>
static napi_value wrap(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    size_t count = 4;
    std::array<napi_value, 4> args{};
    check(napi_get_cb_info(env, info, &count, args.data(), nullptr, nullptr), "the arguments could not be read");
    return body(env, cudaOf(stateOf(env)), args);
  });
}

template <class Map>
static auto& entry(napi_env env, Map& map, napi_value id, const char* what) {
  const auto found = map.find(handleOf(env, id));
  if (found == map.end()) throw Misuse(what);
  return found->second;
}

static napi_value newStream(napi_env env, CudaState& cuda, const std::array<napi_value, 4>&) {
  cuda.streams.push_back(c10::cuda::getStreamFromPool(false));
  return fromNumber(env, static_cast<double>(cuda.streams.size() - 1));
}

static napi_value useStream(napi_env env, CudaState& cuda, const std::array<napi_value, 4>& args) {
  const uint32_t index = handleOf(env, args[0]);
  if (index >= cuda.streams.size()) throw Misuse("there is no such stream");
  c10::cuda::setCurrentCUDAStream(cuda.streams[index]);
  return undefined(env);
}

static napi_value newEvent(napi_env env, CudaState& cuda, const std::array<napi_value, 4>&) {
  const uint32_t id = cuda.next++;
  cuda.events.emplace(id, at::cuda::CUDAEvent(cudaEventDefault));
  return fromNumber(env, id);
}

static napi_value recordEvent(napi_env env, CudaState& cuda, const std::array<napi_value, 4>& args) {
  entry(env, cuda.events, args[0], "there is no such event").record();
  return undefined(env);
}

static napi_value waitEvent(napi_env env, CudaState& cuda, const std::array<napi_value, 4>& args) {
  entry(env, cuda.events, args[0], "there is no such event").block(c10::cuda::getCurrentCUDAStream());
  return undefined(env);
}

static napi_value elapsed(napi_env env, CudaState& cuda, const std::array<napi_value, 4>& args) {
  auto& from = entry(env, cuda.events, args[0], "there is no such event");
  auto& to = entry(env, cuda.events, args[1], "there is no such event");
  to.synchronize();
  return fromNumber(env, from.elapsed_time(to));
}

static napi_value releaseEvent(napi_env env, CudaState& cuda, const std::array<napi_value, 4>& args) {
  cuda.events.erase(handleOf(env, args[0]));
  return undefined(env);
}

/// newPool(): memory that graphs share, for example those of several batch sizes that never run at once.
static napi_value newPool(napi_env env, CudaState& cuda, const std::array<napi_value, 4>&) {
  cuda.pools.push_back(at::cuda::graph_pool_handle());
  return fromNumber(env, static_cast<double>(cuda.pools.size() - 1));
}

static napi_value beginCapture(napi_env env, CudaState& cuda, const std::array<napi_value, 4>& args) {
  const uint32_t pool = handleOf(env, args[0]);
  if (pool >= cuda.pools.size()) throw Misuse("there is no such memory pool");
  if (cuda.capturing != 0) throw Misuse("a graph is being captured already");
  c10::cuda::getCurrentCUDAStream().synchronize();
  const uint32_t id = cuda.next++;
  auto graph = std::make_unique<at::cuda::CUDAGraph>();
  graph->capture_begin(cuda.pools[pool], cudaStreamCaptureModeThreadLocal);
  cuda.graphs.emplace(id, std::move(graph));
  cuda.capturing = id;
  return undefined(env);
}

static napi_value endCapture(napi_env env, CudaState& cuda, const std::array<napi_value, 4>&) {
  const uint32_t id = cuda.capturing;
  if (id == 0) throw Misuse("no graph is being captured");
  cuda.capturing = 0;
  try {
    cuda.graphs.at(id)->capture_end();
  } catch (...) {
    cuda.graphs.erase(id);
    throw;
  }
  return fromNumber(env, id);
}

static napi_value replay(napi_env env, CudaState& cuda, const std::array<napi_value, 4>& args) {
  entry(env, cuda.graphs, args[0], "there is no such graph")->replay();
  return undefined(env);
}

static napi_value releaseGraph(napi_env env, CudaState& cuda, const std::array<napi_value, 4>& args) {
  c10::cuda::getCurrentCUDAStream().synchronize();
  cuda.graphs.erase(handleOf(env, args[0]));
  return undefined(env);
}

static napi_value memory(napi_env env, CudaState&, const std::array<napi_value, 4>&) {
  using c10::cuda::CUDACachingAllocator::getDeviceStats;
  const auto stats = getDeviceStats(c10::cuda::current_device());
  size_t freeBytes = 0, totalBytes = 0;
  C10_CUDA_CHECK(cudaMemGetInfo(&freeBytes, &totalBytes));
  napi_value result;
  check(napi_create_object(env, &result), "an object could not be made");
  const auto set = [&](const char* name, double value) {
    check(napi_set_named_property(env, result, name, fromNumber(env, value)), "no property");
  };
  set("allocated", static_cast<double>(stats.allocated_bytes[0].current));
  set("peak", static_cast<double>(stats.allocated_bytes[0].peak));
  set("reserved", static_cast<double>(stats.reserved_bytes[0].current));
  set("free", static_cast<double>(freeBytes));
  set("total", static_cast<double>(totalBytes));
  return result;
}

static napi_value resetPeak(napi_env env, CudaState&, const std::array<napi_value, 4>&) {
  c10::cuda::CUDACachingAllocator::resetPeakStats(c10::cuda::current_device());
  return undefined(env);
}

static napi_value emptyCache(napi_env env, CudaState&, const std::array<napi_value, 4>&) {
  c10::cuda::CUDACachingAllocator::emptyCache();
  return undefined(env);
}

/// memoryFraction(f): the part of the card that this process may use.
static napi_value memoryFraction(napi_env env, CudaState&, const std::array<napi_value, 4>& args) {
  c10::cuda::CUDACachingAllocator::setMemoryFraction(numberOf(env, args[0], "a fraction must be a number"), c10::cuda::current_device());
  return undefined(env);
}

static napi_value allowTf32(napi_env env, CudaState&, const std::array<napi_value, 4>& args) {
  bool allowed;
  check(napi_get_value_bool(env, args[0], &allowed), "a boolean is expected");
  at::globalContext().setAllowTF32CuBLAS(allowed);
  return undefined(env);
}

static napi_value cardName(napi_env env, CudaState&, const std::array<napi_value, 4>&) {
  napi_value result;
  check(napi_create_string_utf8(env, at::cuda::getCurrentDeviceProperties()->name, NAPI_AUTO_LENGTH, &result), "no string");
  return result;
}

/// Waits for an event in a thread of the pool, so that the event loop goes on.
struct Settlement {
  at::cuda::CUDAEvent event;
  napi_async_work work = nullptr;
  napi_deferred deferred = nullptr;
  std::string failure;
};

#endif

/// settle(): a promise of the end of all work that was queued before.
static napi_value settle(napi_env env, napi_callback_info) {
  return guarded(env, [&] {
    napi_deferred deferred;
    napi_value promise;
    check(napi_create_promise(env, &deferred, &promise), "no promise");
#ifdef SEARCH_R1_CUDA
    if (stateOf(env).cuda) {
      auto owned = std::make_unique<Settlement>();
      owned->event.record();
      owned->deferred = deferred;
      napi_value name;
      check(napi_create_string_utf8(env, "search_r1_settle", NAPI_AUTO_LENGTH, &name), "no string");
      const auto execute = [](napi_env, void* data) {
        auto* self = static_cast<Settlement*>(data);
        try {
          self->event.synchronize();
        } catch (const std::exception& error) {
          self->failure = error.what();
        }
      };
      const auto complete = [](napi_env env, napi_status, void* data) {
        const std::unique_ptr<Settlement> self(static_cast<Settlement*>(data));
        napi_value value;
        if (self->failure.empty()) {
          napi_get_undefined(env, &value);
          napi_resolve_deferred(env, self->deferred, value);
        } else {
          napi_value text;
          napi_create_string_utf8(env, self->failure.c_str(), NAPI_AUTO_LENGTH, &text);
          napi_create_error(env, nullptr, text, &value);
          napi_reject_deferred(env, self->deferred, value);
        }
        napi_delete_async_work(env, self->work);
      };
      check(napi_create_async_work(env, nullptr, name, execute, complete, owned.get(), &owned->work), "no work");
      check(napi_queue_async_work(env, owned->work), "no work");
      (void)owned.release();
      return promise;
    }
#endif
    check(napi_resolve_deferred(env, deferred, undefined(env)), "no promise");
    return promise;
  });
}

static napi_value synchronize(napi_env env, napi_callback_info) {
  return guarded(env, [&] {
    cudaSynchronize(stateOf(env));
    return undefined(env);
  });
}

static napi_value devices(napi_env env, napi_callback_info) {
  return guarded(env, [&] { return fromNumber(env, cudaDevices()); });
}

static napi_property_descriptor method(const char* name, napi_callback callback) {
  return {name, nullptr, callback, nullptr, nullptr, nullptr, napi_enumerable, nullptr};
}

#ifdef SEARCH_R1_CUDA

std::vector<napi_property_descriptor> cudaFunctions() {
  return {method("settle", settle),
          method("synchronize", synchronize),
          method("cudaDevices", devices),
          method("newStream", wrap<newStream>),
          method("useStream", wrap<useStream>),
          method("newEvent", wrap<newEvent>),
          method("recordEvent", wrap<recordEvent>),
          method("waitEvent", wrap<waitEvent>),
          method("elapsed", wrap<elapsed>),
          method("releaseEvent", wrap<releaseEvent>),
          method("newPool", wrap<newPool>),
          method("beginCapture", wrap<beginCapture>),
          method("endCapture", wrap<endCapture>),
          method("replay", wrap<replay>),
          method("releaseGraph", wrap<releaseGraph>),
          method("memory", wrap<memory>),
          method("resetPeak", wrap<resetPeak>),
          method("emptyCache", wrap<emptyCache>),
          method("memoryFraction", wrap<memoryFraction>),
          method("allowTf32", wrap<allowTf32>),
          method("cardName", wrap<cardName>)};
}

#else

struct CudaState {};

void CudaStateDeleter::operator()(CudaState* state) const { delete state; }

bool cudaBuilt() { return false; }

int cudaDevices() { return 0; }

void cudaUse(State&, int) { throw Misuse("the addon was built without CUDA: run \"search-r1 device install torch --cuda\""); }

void cudaSynchronize(State&) {}

static napi_value missing(napi_env env, napi_callback_info) {
  return guarded(env, []() -> napi_value { throw Misuse("the addon was built without CUDA"); });
}

std::vector<napi_property_descriptor> cudaFunctions() {
  std::vector<napi_property_descriptor> functions = {method("settle", settle), method("synchronize", synchronize), method("cudaDevices", devices)};
  for (const char* name : {"newStream", "useStream", "newEvent", "recordEvent", "waitEvent", "elapsed", "releaseEvent", "newPool", "beginCapture", "endCapture", "replay",
                           "releaseGraph", "memory", "resetPeak", "emptyCache", "memoryFraction", "allowTf32", "cardName"}) {
    functions.push_back(method(name, missing));
  }
  return functions;
}

#endif

}  // namespace search_r1
