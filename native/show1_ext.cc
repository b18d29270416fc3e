// What the stock tfjs-node binding lacks: building a TensorFlow graph op by op with shape inference, registering it as a
// function in the eager context and calling it, tensors of any dtype from and to raw bytes, and memory trimming.
// Compiled together with the package's own sources by `npm run setup`; see src/engine/compile.ts for the JavaScript side.
#include <node_api.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "absl/log/globals.h"
#include "binding/tfjs_backend.h"
#include "tensorflow/c/c_api.h"
#include "tensorflow/c/eager/c_api.h"

namespace show1 {
namespace {

// TensorFlow's greetings on stderr are no news to anybody; TF_CPP_MIN_LOG_LEVEL=0 shows them.
const bool quiet = [] {
  const char *level = getenv("TF_CPP_MIN_LOG_LEVEL");
  if (!level || strcmp(level, "0") != 0) absl::SetMinLogLevel(absl::LogSeverityAtLeast::kWarning);
  return true;
}();

using tfnodejs::TFJSBackend;

// Thrown inside this file and turned into a JavaScript exception at its border.
struct Failure {
  std::string message;
};

[[noreturn]] void Fail(const std::string &message) { throw Failure{message}; }

void Ok(napi_status status, const char *what) {
  if (status != napi_ok) Fail(std::string("show1: bad argument: ") + what);
}

struct Status {
  TF_Status *status = TF_NewStatus();
  ~Status() { TF_DeleteStatus(status); }
  operator TF_Status *() { return status; }
  void Check(const std::string &what) {
    if (TF_GetCode(status) != TF_OK) Fail(what + ": " + TF_Message(status));
  }
};

// ---- reading JavaScript values ----

std::string String(napi_env env, napi_value value) {
  bool typed = false;
  napi_is_typedarray(env, value, &typed);
  if (typed) {  // raw bytes: a serialized message is not UTF-8
    size_t length;
    void *data;
    Ok(napi_get_typedarray_info(env, value, nullptr, &length, &data, nullptr, nullptr), "bytes");
    return std::string(static_cast<char *>(data), length);
  }
  size_t length = 0;
  Ok(napi_get_value_string_utf8(env, value, nullptr, 0, &length), "string");
  std::string out(length, '\0');
  Ok(napi_get_value_string_utf8(env, value, &out[0], length + 1, &length), "string");
  return out;
}

int64_t Int(napi_env env, napi_value value) {
  int64_t out;
  Ok(napi_get_value_int64(env, value, &out), "integer");
  return out;
}

double Double(napi_env env, napi_value value) {
  double out;
  Ok(napi_get_value_double(env, value, &out), "number");
  return out;
}

bool Bool(napi_env env, napi_value value) {
  bool out;
  Ok(napi_get_value_bool(env, value, &out), "boolean");
  return out;
}

napi_value Get(napi_env env, napi_value object, const char *key) {
  napi_value out;
  Ok(napi_get_named_property(env, object, key, &out), key);
  return out;
}

bool IsArray(napi_env env, napi_value value) {
  bool out = false;
  napi_is_array(env, value, &out);
  return out;
}

bool IsNull(napi_env env, napi_value value) {
  napi_valuetype type;
  Ok(napi_typeof(env, value, &type), "value");
  return type == napi_null || type == napi_undefined;
}

template <typename T, typename F>
std::vector<T> List(napi_env env, napi_value value, F read) {
  uint32_t length;
  Ok(napi_get_array_length(env, value, &length), "array");
  std::vector<T> out;
  out.reserve(length);
  for (uint32_t i = 0; i < length; ++i) {
    napi_value element;
    Ok(napi_get_element(env, value, i, &element), "array element");
    out.push_back(static_cast<T>(read(env, element)));
  }
  return out;
}

std::vector<int64_t> Ints(napi_env env, napi_value value) { return List<int64_t>(env, value, Int); }

struct Bytes {
  void *data;
  size_t size;
};

// Any typed array as bytes.
Bytes TypedArray(napi_env env, napi_value value) {
  napi_typedarray_type type;
  size_t length;
  void *data;
  Ok(napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr), "typed array");
  static const std::map<napi_typedarray_type, size_t> widths = {
      {napi_int8_array, 1},    {napi_uint8_array, 1},   {napi_uint8_clamped_array, 1}, {napi_int16_array, 2},
      {napi_uint16_array, 2},  {napi_int32_array, 4},   {napi_uint32_array, 4},        {napi_float32_array, 4},
      {napi_float64_array, 8}, {napi_bigint64_array, 8}, {napi_biguint64_array, 8}};
  return {data, length * widths.at(type)};
}

napi_value Number(napi_env env, int64_t value) {
  napi_value out;
  Ok(napi_create_int64(env, value, &out), "number");
  return out;
}

napi_value ShapeArray(napi_env env, const std::vector<int64_t> &shape) {
  napi_value out;
  Ok(napi_create_array_with_length(env, shape.size(), &out), "array");
  for (size_t i = 0; i < shape.size(); ++i) Ok(napi_set_element(env, out, i, Number(env, shape[i])), "array");
  return out;
}

// ---- graphs under construction ----

struct Graph {
  TF_Graph *graph = TF_NewGraph();
  std::vector<TF_Output> values;  // the numbers that JavaScript holds index this list
  int nodes = 0;
  ~Graph() { TF_DeleteGraph(graph); }
  std::string NextName() { return "n" + std::to_string(nodes++); }
  TF_Output Value(int64_t id) {
    if (id < 0 || id >= static_cast<int64_t>(values.size())) Fail("show1: no graph value " + std::to_string(id));
    return values[id];
  }
  int64_t Add(TF_Output output) {
    values.push_back(output);
    return static_cast<int64_t>(values.size()) - 1;
  }
};

std::map<int64_t, std::unique_ptr<Graph>> graphs;
int64_t next_graph = 0;

Graph &GraphOf(napi_env env, napi_value id) {
  auto it = graphs.find(Int(env, id));
  if (it == graphs.end()) Fail("show1: no such graph");
  return *it->second;
}

void SetAttr(napi_env env, TF_OperationDescription *op, napi_value attr) {
  const std::string name = String(env, Get(env, attr, "name"));
  const int64_t type = Int(env, Get(env, attr, "type"));
  napi_value value = Get(env, attr, "value");
  const bool list = IsArray(env, value);
  switch (type) {
    case TF_ATTR_STRING: {
      const std::string s = String(env, value);
      TF_SetAttrString(op, name.c_str(), s.data(), s.size());
      break;
    }
    case TF_ATTR_INT:
      if (list) {
        auto v = Ints(env, value);
        TF_SetAttrIntList(op, name.c_str(), v.data(), static_cast<int>(v.size()));
      } else {
        TF_SetAttrInt(op, name.c_str(), Int(env, value));
      }
      break;
    case TF_ATTR_FLOAT:
      TF_SetAttrFloat(op, name.c_str(), static_cast<float>(Double(env, value)));
      break;
    case TF_ATTR_BOOL:
      TF_SetAttrBool(op, name.c_str(), Bool(env, value) ? 1 : 0);
      break;
    case TF_ATTR_TYPE:
      if (list) {
        auto v = List<TF_DataType>(env, value, Int);
        TF_SetAttrTypeList(op, name.c_str(), v.data(), static_cast<int>(v.size()));
      } else {
        TF_SetAttrType(op, name.c_str(), static_cast<TF_DataType>(Int(env, value)));
      }
      break;
    case TF_ATTR_SHAPE: {
      auto v = Ints(env, value);
      TF_SetAttrShape(op, name.c_str(), v.data(), static_cast<int>(v.size()));
      break;
    }
    case TF_ATTR_FUNC: {
      const std::string s = String(env, value);
      TF_SetAttrFuncName(op, name.c_str(), s.data(), s.size());
      break;
    }
    default:
      Fail("show1: attribute " + name + " has unknown type " + std::to_string(type));
  }
}

// Ops whose leading inputs form one list argument: all of them, or all but the last.
bool TakesList(const std::string &op, size_t inputs, size_t *list_length) {
  static const std::set<std::string> all = {"Pack", "AddN", "IdentityN", "ShapeN", "PartitionedCall",
                                            "StatefulPartitionedCall"};
  if (all.count(op)) return *list_length = inputs, true;
  if (op == "ConcatV2") return *list_length = inputs - 1, true;
  return false;
}

TF_Tensor *NewTensor(TF_DataType dtype, const std::vector<int64_t> &shape, Bytes bytes) {
  int64_t elements = 1;
  for (int64_t d : shape) elements *= d;
  if (elements * static_cast<int64_t>(TF_DataTypeSize(dtype)) != static_cast<int64_t>(bytes.size)) {
    Fail("show1: " + std::to_string(bytes.size) + " bytes do not fill a tensor of " + std::to_string(elements) +
         " elements of dtype " + std::to_string(dtype));
  }
  TF_Tensor *tensor = TF_AllocateTensor(dtype, shape.data(), static_cast<int>(shape.size()), bytes.size);
  if (!tensor) Fail("show1: out of memory for a tensor of " + std::to_string(bytes.size) + " bytes");
  if (bytes.size) memcpy(TF_TensorData(tensor), bytes.data, bytes.size);
  return tensor;
}

// ---- exported functions ----

napi_value GraphNew(napi_env env, TFJSBackend *, napi_value *) {
  graphs[next_graph].reset(new Graph());
  return Number(env, next_graph++);
}

napi_value GraphDelete(napi_env env, TFJSBackend *, napi_value *args) {
  graphs.erase(Int(env, args[0]));
  return nullptr;
}

napi_value GraphPlaceholder(napi_env env, TFJSBackend *, napi_value *args) {
  Graph &g = GraphOf(env, args[0]);
  TF_OperationDescription *op = TF_NewOperation(g.graph, "Placeholder", g.NextName().c_str());
  TF_SetAttrType(op, "dtype", static_cast<TF_DataType>(Int(env, args[1])));
  if (!IsNull(env, args[2])) {
    auto shape = Ints(env, args[2]);
    TF_SetAttrShape(op, "shape", shape.data(), static_cast<int>(shape.size()));
  }
  Status status;
  TF_Operation *node = TF_FinishOperation(op, status);
  status.Check("Placeholder");
  return Number(env, g.Add({node, 0}));
}

napi_value GraphConst(napi_env env, TFJSBackend *, napi_value *args) {
  Graph &g = GraphOf(env, args[0]);
  const auto dtype = static_cast<TF_DataType>(Int(env, args[1]));
  TF_Tensor *tensor = NewTensor(dtype, Ints(env, args[2]), TypedArray(env, args[3]));
  TF_OperationDescription *op = TF_NewOperation(g.graph, "Const", g.NextName().c_str());
  TF_SetAttrType(op, "dtype", dtype);
  Status status;
  TF_SetAttrTensor(op, "value", tensor, status);
  TF_DeleteTensor(tensor);
  status.Check("Const");
  TF_Operation *node = TF_FinishOperation(op, status);
  status.Check("Const");
  return Number(env, g.Add({node, 0}));
}

napi_value GraphAddOp(napi_env env, TFJSBackend *, napi_value *args) {
  Graph &g = GraphOf(env, args[0]);
  const std::string name = String(env, args[1]);
  std::vector<TF_Output> inputs;
  for (int64_t id : Ints(env, args[3])) inputs.push_back(g.Value(id));
  TF_OperationDescription *op = TF_NewOperation(g.graph, name.c_str(), g.NextName().c_str());
  size_t first = 0;
  size_t list_length;
  if (TakesList(name, inputs.size(), &list_length)) {
    TF_AddInputList(op, inputs.data(), static_cast<int>(list_length));
    first = list_length;
  }
  for (size_t i = first; i < inputs.size(); ++i) TF_AddInput(op, inputs[i]);
  for (int64_t id : Ints(env, args[4])) TF_AddControlInput(op, g.Value(id).oper);
  uint32_t attrs;
  Ok(napi_get_array_length(env, args[2], &attrs), "attributes");
  for (uint32_t i = 0; i < attrs; ++i) {
    napi_value attr;
    Ok(napi_get_element(env, args[2], i, &attr), "attribute");
    SetAttr(env, op, attr);
  }
  Status status;
  TF_Operation *node = TF_FinishOperation(op, status);
  status.Check(name);

  const int outputs = TF_OperationNumOutputs(node);
  napi_value result;
  Ok(napi_create_array_with_length(env, outputs, &result), "outputs");
  for (int i = 0; i < outputs; ++i) {
    const TF_Output output{node, i};
    napi_value entry, shape_value;
    Ok(napi_create_object(env, &entry), "output");
    const int rank = TF_GraphGetTensorNumDims(g.graph, output, status);
    status.Check(name);
    std::vector<int64_t> shape(rank < 0 ? 0 : rank);
    if (rank > 0) TF_GraphGetTensorShape(g.graph, output, shape.data(), rank, status);
    status.Check(name);
    bool known = rank >= 0;
    for (int64_t d : shape) known = known && d >= 0;
    if (known) {
      shape_value = ShapeArray(env, shape);
    } else {
      napi_get_null(env, &shape_value);
    }
    Ok(napi_set_named_property(env, entry, "id", Number(env, g.Add(output))), "output");
    Ok(napi_set_named_property(env, entry, "shape", shape_value), "output");
    Ok(napi_set_named_property(env, entry, "dtype", Number(env, TF_OperationOutputType(output))), "output");
    Ok(napi_set_element(env, result, i, entry), "output");
  }
  if (outputs == 0) {  // a node without outputs can still be waited for
    napi_value entry;
    Ok(napi_create_object(env, &entry), "output");
    Ok(napi_set_named_property(env, entry, "id", Number(env, g.Add({node, 0}))), "output");
    Ok(napi_set_element(env, result, 0, entry), "output");
  }
  return result;
}

napi_value GraphSetShape(napi_env env, TFJSBackend *, napi_value *args) {
  Graph &g = GraphOf(env, args[0]);
  auto shape = Ints(env, args[2]);
  Status status;
  TF_GraphSetTensorShape(g.graph, g.Value(Int(env, args[1])), shape.data(), static_cast<int>(shape.size()), status);
  status.Check("shape of a graph value");
  return nullptr;
}

napi_value GraphToFunction(napi_env env, TFJSBackend *backend, napi_value *args) {
  Graph &g = GraphOf(env, args[0]);
  const std::string name = String(env, args[1]);
  std::vector<TF_Output> inputs, outputs;
  for (int64_t id : Ints(env, args[2])) inputs.push_back(g.Value(id));
  for (int64_t id : Ints(env, args[3])) outputs.push_back(g.Value(id));
  Status status;
  TF_Function *function =
      TF_GraphToFunction(g.graph, name.c_str(), 0, -1, nullptr, static_cast<int>(inputs.size()), inputs.data(),
                         static_cast<int>(outputs.size()), outputs.data(), nullptr, nullptr, nullptr, status);
  status.Check("function " + name);
  TFE_ContextAddFunction(backend->tfe_context_, function, status);
  TF_DeleteFunction(function);
  status.Check("function " + name);
  return Number(env, g.nodes);
}

napi_value RemoveFunction(napi_env env, TFJSBackend *backend, napi_value *args) {
  Status status;
  const std::string name = String(env, args[0]);
  TFE_ContextRemoveFunction(backend->tfe_context_, name.c_str(), status);
  status.Check("function " + name);
  return nullptr;
}

TFE_TensorHandle *Handle(TFJSBackend *backend, int64_t id) {
  auto it = backend->tfe_handle_map_.find(static_cast<int32_t>(id));
  if (it == backend->tfe_handle_map_.end()) Fail("show1: tensor " + std::to_string(id) + " is disposed or unknown");
  return it->second;
}

// runFunction(name, inputIds, numOutputs, configProto, xla) -> metadata of the outputs
napi_value RunFunction(napi_env env, TFJSBackend *backend, napi_value *args) {
  const std::string name = String(env, args[0]);
  const int count = static_cast<int>(Int(env, args[2]));
  Status status;
  std::unique_ptr<TFE_Op, void (*)(TFE_Op *)> op(TFE_NewOp(backend->tfe_context_, name.c_str(), status), TFE_DeleteOp);
  status.Check(name);
  for (int64_t id : Ints(env, args[1])) {
    TFE_OpAddInput(op.get(), Handle(backend, id), status);
    status.Check(name);
  }
  const std::string config = String(env, args[3]);
  TFE_OpSetAttrString(op.get(), "executor_type", "", 0);
  TFE_OpSetAttrString(op.get(), "config_proto", config.data(), config.size());
  if (Bool(env, args[4])) TFE_OpSetAttrBool(op.get(), "_XlaMustCompile", 1);
  std::vector<TFE_TensorHandle *> handles(count, nullptr);
  int produced = count;
  TFE_Execute(op.get(), handles.data(), &produced, status);
  status.Check(name);
  napi_value result;
  Ok(napi_create_array_with_length(env, produced, &result), "outputs");
  for (int i = 0; i < produced; ++i) {
    Ok(napi_set_element(env, result, i, backend->GenerateOutputTensorInfo(env, handles[i])), "outputs");
  }
  return result;
}

napi_value TensorBytes(napi_env env, TFJSBackend *backend, napi_value *args) {
  Status status;
  std::unique_ptr<TF_Tensor, void (*)(TF_Tensor *)> tensor(
      TFE_TensorHandleResolve(Handle(backend, Int(env, args[0])), status), TF_DeleteTensor);
  status.Check("tensor");
  const size_t size = TF_TensorByteSize(tensor.get());
  void *data;
  napi_value buffer, out;
  Ok(napi_create_arraybuffer(env, size, &data, &buffer), "memory for a tensor's bytes");
  if (size) memcpy(data, TF_TensorData(tensor.get()), size);
  Ok(napi_create_typedarray(env, napi_uint8_array, size, buffer, 0, &out), "typed array");
  return out;
}

napi_value CreateTensorFromBytes(napi_env env, TFJSBackend *backend, napi_value *args) {
  const auto dtype = static_cast<TF_DataType>(Int(env, args[1]));
  std::unique_ptr<TF_Tensor, void (*)(TF_Tensor *)> tensor(
      NewTensor(dtype, Ints(env, args[0]), TypedArray(env, args[2])), TF_DeleteTensor);
  Status status;
  TFE_TensorHandle *handle = TFE_NewTensorHandle(tensor.get(), status);
  status.Check("tensor");
  if (dtype != TF_INT32) {  // int32 stays on the host, where most GPU kernels expect it
    TFE_TensorHandle *moved =
        TFE_TensorHandleCopyToDevice(handle, backend->tfe_context_, backend->device_name.c_str(), status);
    TFE_DeleteTensorHandle(handle);
    status.Check("tensor");
    handle = moved;
  }
  return Number(env, backend->InsertHandle(handle));
}

napi_value DeviceNames(napi_env env, TFJSBackend *backend, napi_value *) {
  Status status;
  std::unique_ptr<TF_DeviceList, void (*)(TF_DeviceList *)> list(TFE_ContextListDevices(backend->tfe_context_, status),
                                                                 TF_DeleteDeviceList);
  status.Check("devices");
  napi_value out;
  const int count = TF_DeviceListCount(list.get());
  Ok(napi_create_array_with_length(env, count, &out), "array");
  for (int i = 0; i < count; ++i) {
    napi_value name;
    Ok(napi_create_string_utf8(env, TF_DeviceListName(list.get(), i, status), NAPI_AUTO_LENGTH, &name), "name");
    Ok(napi_set_element(env, out, i, name), "array");
  }
  return out;
}

// hasOp(name): whether TensorFlow knows the op, e.g. one of native/kernels.
napi_value HasOp(napi_env env, TFJSBackend *backend, napi_value *args) {
  Status status;
  const std::string name = String(env, args[0]);
  TFE_Op *op = TFE_NewOp(backend->tfe_context_, name.c_str(), status);
  if (op) TFE_DeleteOp(op);
  napi_value out;
  Ok(napi_get_boolean(env, TF_GetCode(status) == TF_OK, &out), "boolean");
  return out;
}

napi_value TrimMemory(napi_env, TFJSBackend *, napi_value *) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
  return nullptr;
}

// Calls `function` with up to six arguments and turns a Failure into a JavaScript exception.
template <napi_value (*function)(napi_env, TFJSBackend *, napi_value *), size_t arity>
napi_value Wrap(napi_env env, napi_callback_info info) {
  size_t argc = arity;
  napi_value args[arity + 1];
  try {
    Ok(napi_get_cb_info(env, info, &argc, args, nullptr, nullptr), "arguments");
    if (argc < arity) Fail("show1: expected " + std::to_string(arity) + " arguments");
    void *backend = nullptr;
    Ok(napi_get_instance_data(env, &backend), "backend");
    return function(env, static_cast<TFJSBackend *>(backend), args);
  } catch (const Failure &failure) {
    napi_throw_error(env, nullptr, failure.message.c_str());
  } catch (const std::exception &error) {
    napi_throw_error(env, nullptr, error.what());
  }
  return nullptr;
}

}  // namespace

void Register(napi_env env, napi_value exports) {
  const napi_property_descriptor functions[] = {
#define SHOW1_FUNCTION(name, function, arity) \
  {name, nullptr, Wrap<function, arity>, nullptr, nullptr, nullptr, napi_enumerable, nullptr}
      SHOW1_FUNCTION("graphNew", GraphNew, 0),
      SHOW1_FUNCTION("graphDelete", GraphDelete, 1),
      SHOW1_FUNCTION("graphPlaceholder", GraphPlaceholder, 3),
      SHOW1_FUNCTION("graphConst", GraphConst, 4),
      SHOW1_FUNCTION("graphAddOp", GraphAddOp, 5),
      SHOW1_FUNCTION("graphSetShape", GraphSetShape, 3),
      SHOW1_FUNCTION("graphToFunction", GraphToFunction, 4),
      SHOW1_FUNCTION("removeFunction", RemoveFunction, 1),
      SHOW1_FUNCTION("runFunction", RunFunction, 5),
      SHOW1_FUNCTION("tensorBytes", TensorBytes, 1),
      SHOW1_FUNCTION("createTensorFromBytes", CreateTensorFromBytes, 3),
      SHOW1_FUNCTION("deviceNames", DeviceNames, 0),
      SHOW1_FUNCTION("hasOp", HasOp, 1),
      SHOW1_FUNCTION("trimMemory", TrimMemory, 0),
#undef SHOW1_FUNCTION
  };
  napi_define_properties(env, exports, sizeof(functions) / sizeof(functions[0]), functions);
}

}  // namespace show1
