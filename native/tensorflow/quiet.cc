// Loads a library without letting it speak: what its initialisers write to standard error is given back as text.
// TensorFlow's library talks while it is loaded, before any level of its log can be set.
#include <dlfcn.h>
#include <fcntl.h>
#include <node_api.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

/// Standard error in a file that has no name, until `end`. Where that cannot be had, nothing is held back.
class Held {
 public:
  Held() {
    const char* directory = std::getenv("TMPDIR");
    std::string name = std::string(directory == nullptr || *directory == '\0' ? "/tmp" : directory) + "/search-r1-XXXXXX";
    file_ = mkstemp(&name[0]);
    if (file_ < 0) return;
    unlink(name.c_str());
    std::fflush(stderr);
    saved_ = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (saved_ >= 0 && dup2(file_, STDERR_FILENO) >= 0) return;
    close(file_);
    file_ = -1;
  }

  std::string end() {
    std::string text;
    if (file_ >= 0) {
      std::fflush(stderr);
      dup2(saved_, STDERR_FILENO);
      lseek(file_, 0, SEEK_SET);
      char part[4096];
      for (ssize_t n; (n = read(file_, part, sizeof part)) > 0;) text.append(part, static_cast<size_t>(n));
      close(file_);
    }
    if (saved_ >= 0) close(saved_);
    return text;
  }

 private:
  int file_ = -1;
  int saved_ = -1;
};

/// load(file): what the library said. One that cannot be loaded is no error here: who needs it says so.
napi_value load(napi_env env, napi_callback_info info) {
  size_t count = 1, length = 0;
  napi_value argument, result;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  if (count < 1 || napi_get_value_string_utf8(env, argument, nullptr, 0, &length) != napi_ok) {
    napi_throw_type_error(env, nullptr, "a path is needed");
    return nullptr;
  }
  std::string path(length + 1, '\0');
  napi_get_value_string_utf8(env, argument, &path[0], path.size(), &length);
  Held held;
  // It stays until the process ends: other threads may need it when this one is gone.
  dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  const std::string text = held.end();
  napi_create_string_utf8(env, text.data(), text.size(), &result);
  return result;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "load", NAPI_AUTO_LENGTH, load, nullptr, &function);
  napi_set_named_property(env, exports, "load", function);
  return exports;
}
