/**
 * Our changes to the npm package's binding sources, as exact-string edits. Each anchor must occur exactly once, so that
 * another version of the package is refused instead of being patched in the wrong place.
 */
import { SetupError } from './errors.mjs';

/**
 * @typedef {object} Edit
 * @property {string} file
 * @property {string} why
 * @property {string} anchor
 * @property {string} replacement
 */

/** @type {Edit[]} */
export const EDITS = [
  {
    file: 'tfjs_backend.h',
    why: 'native/*.cc use the eager context, the tensor handles and the device name',
    anchor: `  TFJSBackend(napi_env env);

  int32_t InsertHandle`,
    replacement: `  TFJSBackend(napi_env env);

 public:
  int32_t InsertHandle`,
  },
  {
    file: 'tfjs_binding.cc',
    why: 'declare the extension',
    anchor: `#include "utils.h"

namespace tfnodejs {
`,
    replacement: `#include "utils.h"

namespace show1 {
void Register(napi_env env, napi_value exports);
}

namespace tfnodejs {
`,
  },
  {
    file: 'tfjs_binding.cc',
    why: 'add the functions of the extension to the module',
    anchor: `#undef EXPORT_INT_PROPERTY

  return exports;`,
    replacement: `#undef EXPORT_INT_PROPERTY

  show1::Register(env, exports);
  return exports;`,
  },
  {
    file: 'tfjs_backend.cc',
    why: 'a string attribute may be raw bytes: a serialized message is not UTF-8',
    anchor: `void AssignOpAttr(napi_env env, TFE_Op *tfe_op, napi_value attr_value) {`,
    replacement: `// A JavaScript string as UTF-8, or a Uint8Array as it is.
static napi_status GetBytesParam(napi_env env, napi_value value,
                                 std::string &bytes) {
  bool is_typed_array = false;
  napi_status status = napi_is_typedarray(env, value, &is_typed_array);
  if (status != napi_ok) return status;
  if (!is_typed_array) return GetStringParam(env, value, bytes);
  napi_typedarray_type type;
  size_t length;
  void *data;
  status = napi_get_typedarray_info(env, value, &type, &length, &data, nullptr,
                                    nullptr);
  if (status != napi_ok) return status;
  if (type != napi_uint8_array) return napi_invalid_arg;
  bytes.assign(static_cast<const char *>(data), length);
  return napi_ok;
}

void AssignOpAttr(napi_env env, TFE_Op *tfe_op, napi_value attr_value) {`,
  },
  {
    file: 'tfjs_backend.cc',
    why: 'the same, where the attribute is read',
    anchor: `      nstatus = GetStringParam(env, js_value, str_value);`,
    replacement: `      nstatus = GetBytesParam(env, js_value, str_value);`,
  },
  {
    file: 'tfjs_backend.cc',
    why: 'attributes that name a function',
    anchor: `    default:
      REPORT_UNKNOWN_TF_ATTR_TYPE(env, tf_attr_type);`,
    replacement: `    case TF_ATTR_FUNC: {
      std::string function_name;
      nstatus = GetStringParam(env, js_value, function_name);
      ENSURE_NAPI_OK(env, nstatus);
      TFE_OpSetAttrFunctionName(tfe_op, attr_name, function_name.c_str(),
                                function_name.size());
      break;
    }

    default:
      REPORT_UNKNOWN_TF_ATTR_TYPE(env, tf_attr_type);`,
  },
  {
    file: 'tfjs_backend.cc',
    why: 'lists of whole numbers are read with 64 bits, as single ones are',
    anchor: `          int32_t value;
          nstatus = napi_get_value_int32(env, element, &value);
          ENSURE_NAPI_OK(env, nstatus);
          data[i] = value;`,
    replacement: `          int64_t value;
          nstatus = napi_get_value_int64(env, element, &value);
          ENSURE_NAPI_OK(env, nstatus);
          data[i] = value;`,
  },
];

/**
 * Applies the edits to source texts.
 * @param {Map<string, string>} sources by file name, unchanged by the call
 * @param {string} version of the npm package, for the message
 * @param {Edit[]} [edits]
 * @returns {Map<string, string>}
 * @throws {SetupError} `patch.anchor` when an anchor does not occur exactly once
 */
export function applyEdits(sources, version, edits = EDITS) {
  const out = new Map(sources);
  for (const { file, why, anchor, replacement } of edits) {
    const text = out.get(file);
    const count = text === undefined ? 0 : text.split(anchor).length - 1;
    if (text === undefined || count !== 1) {
      const where = text === undefined ? `has no binding/${file}` : `has its anchor ${count} times in binding/${file}`;
      throw new SetupError(
        'patch.anchor',
        `@tensorflow/tfjs-node-gpu ${version} does not fit native/patch.mjs: it ${where}, expected once (edit: ${why})`,
        ['install the version that package.json names: npm ci'],
      );
    }
    out.set(
      file,
      text.replace(anchor, () => replacement),
    );
  }
  return out;
}
