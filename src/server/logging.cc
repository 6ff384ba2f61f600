// Levels: Redis's debug and verbose are spdlog's trace and debug, notice is info, warning is warn and worse.
#include "server/logging.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace tidemark::server {
namespace {

// Redis's mark of a level: . debug, - verbose, * notice, # warning.
class LevelMark final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm& /*time*/, spdlog::memory_buf_t& dest) override {
    switch (message.level) {
      case spdlog::level::trace:
        dest.push_back('.');
        break;
      case spdlog::level::debug:
        dest.push_back('-');
        break;
      case spdlog::level::info:
        dest.push_back('*');
        break;
      default:
        dest.push_back('#');
    }
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<LevelMark>(); }
};

}  // namespace

absl::Status StartLogging(const std::string& level, const std::string& file) {
  try {
    spdlog::sink_ptr sink;
    if (file.empty()) {
      sink = std::make_shared<spdlog::sinks::stdout_sink_mt>();
    } else {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
    }
    auto formatter = std::make_unique<spdlog::pattern_formatter>();
    formatter->add_flag<LevelMark>('*').set_pattern("%P:M %d %b %Y %H:%M:%S.%e %* %v");
    auto logger = std::make_shared<spdlog::logger>("tidemark", std::move(sink));
    logger->set_formatter(std::move(formatter));
    logger->flush_on(spdlog::level::trace);
    spdlog::set_default_logger(std::move(logger));
  } catch (const spdlog::spdlog_ex& error) {
    return Errorf(absl::StatusCode::kUnavailable, "logfile: {}", error.what());
  }
  SetLogLevel(level);
  return absl::OkStatus();
}

void SetLogLevel(std::string_view level) {
  spdlog::level::level_enum lowest = spdlog::level::info;
  if (level == "debug") lowest = spdlog::level::trace;
  if (level == "verbose") lowest = spdlog::level::debug;
  if (level == "warning") lowest = spdlog::level::warn;
  spdlog::default_logger()->set_level(lowest);
}

}  // namespace tidemark::server
