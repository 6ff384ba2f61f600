// A page that Prometheus cannot read leaves the operator without alarms.
#include "metrics/exposition.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tidemark::metrics {
namespace {

TEST(Page, WritesFamiliesAndSamplesAsTheFormatHasThem) {
  Page page;
  page.Counter("tidemark_flushes_total", 12, "flushes that ended");
  page.Family("tidemark_task_rpo_seconds", Type::kGauge, "loss")
      .Sample(0.25, {{"task", "a"}})
      .Sample(1, {{"task", "b"}});
  EXPECT_EQ(page.text(),
            "# HELP tidemark_flushes_total flushes that ended\n"
            "# TYPE tidemark_flushes_total counter\n"
            "tidemark_flushes_total 12\n"
            "# HELP tidemark_task_rpo_seconds loss\n"
            "# TYPE tidemark_task_rpo_seconds gauge\n"
            "tidemark_task_rpo_seconds{task=\"a\"} 0.25\n"
            "tidemark_task_rpo_seconds{task=\"b\"} 1\n");
}

TEST(Page, EscapesWhatWouldBreakALine) {
  Page page;
  page.Family("m", Type::kGauge, "two\nlines and \\").Sample(1, {{"cause", "a \"quoted\"\nline \\"}});
  EXPECT_EQ(page.text(),
            "# HELP m two\\nlines and \\\\\n# TYPE m gauge\nm{cause=\"a \\\"quoted\\\"\\nline \\\\\"} 1\n");
}

TEST(Page, KeepsEveryDigitOfAWholeNumber) {
  Page page;
  page.Gauge("bytes", 4503599627370497.0, "");
  page.Gauge("time", 1795283453.804217, "");
  page.Gauge("nothing", std::nan(""), "");
  EXPECT_NE(page.text().find("\nbytes 4503599627370497\n"), std::string::npos);
  EXPECT_NE(page.text().find("\ntime 1795283453.804217\n"), std::string::npos);
  EXPECT_NE(page.text().find("\nnothing NaN\n"), std::string::npos);
}

}  // namespace
}  // namespace tidemark::metrics
