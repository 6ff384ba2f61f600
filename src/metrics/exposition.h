// One page of metrics in Prometheus's text exposition format 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/).
#pragma once

#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace tidemark::metrics {

enum class Type { kCounter, kGauge };

struct Label {
  std::string_view name;
  std::string_view value;
};

class Page {
 public:
  // Begins a family; its samples follow by Sample. Each family once a page.
  Page& Family(std::string_view name, Type type, std::string_view help);
  Page& Sample(double value, std::initializer_list<Label> labels = {});
  // A family of one sample.
  void Counter(std::string_view name, double value, std::string_view help) {
    Family(name, Type::kCounter, help).Sample(value);
  }
  void Gauge(std::string_view name, double value, std::string_view help) {
    Family(name, Type::kGauge, help).Sample(value);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::string family_;
  std::set<std::string, std::less<>> families_;
};

inline constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace tidemark::metrics
