#include "objstore/s3_errors.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/numbers.h"
#include "objstore/s3_xml.h"

namespace tidemark::objstore {
namespace {

struct CodeMeaning {
  std::string_view code;
  absl::StatusCode status;
};

// "List of error codes", Amazon S3 API reference, and RGW's rgw_http_errors.h; only those that mean something else than
// their HTTP status says.
constexpr std::array kMeanings = {
    CodeMeaning{"SlowDown", absl::StatusCode::kResourceExhausted},
    CodeMeaning{"Throttling", absl::StatusCode::kResourceExhausted},
    CodeMeaning{"ThrottlingException", absl::StatusCode::kResourceExhausted},
    CodeMeaning{"RequestLimitExceeded", absl::StatusCode::kResourceExhausted},
    CodeMeaning{"TooManyRequests", absl::StatusCode::kResourceExhausted},
    CodeMeaning{"QuotaExceeded", absl::StatusCode::kResourceExhausted},
    CodeMeaning{"XMinioStorageFull", absl::StatusCode::kResourceExhausted},
    CodeMeaning{"NoSuchBucket", absl::StatusCode::kFailedPrecondition},
    CodeMeaning{"NoSuchUpload", absl::StatusCode::kAborted},
    CodeMeaning{"ConditionalRequestConflict", absl::StatusCode::kAborted},
    CodeMeaning{"OperationAborted", absl::StatusCode::kAborted},
    CodeMeaning{"BadDigest", absl::StatusCode::kDataLoss},
    CodeMeaning{"IncompleteBody", absl::StatusCode::kDataLoss},
    CodeMeaning{"XAmzContentSHA256Mismatch", absl::StatusCode::kDataLoss},
    CodeMeaning{"RequestTimeout", absl::StatusCode::kUnavailable},
    CodeMeaning{"InternalError", absl::StatusCode::kUnavailable},
    CodeMeaning{"ServiceUnavailable", absl::StatusCode::kUnavailable},
    CodeMeaning{"ExpiredToken", absl::StatusCode::kPermissionDenied},
    CodeMeaning{"TokenRefreshRequired", absl::StatusCode::kPermissionDenied},
    CodeMeaning{"InvalidToken", absl::StatusCode::kPermissionDenied},
    CodeMeaning{"NotImplemented", absl::StatusCode::kUnimplemented},
};

absl::StatusCode CodeOfHttp(int status) {
  switch (status) {
    case 401:
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 408:
      return absl::StatusCode::kUnavailable;
    case 409:
      return absl::StatusCode::kAborted;
    case 412:
      return absl::StatusCode::kAlreadyExists;
    case 416:
      return absl::StatusCode::kOutOfRange;
    case 429:
    case 507:
      return absl::StatusCode::kResourceExhausted;
    case 501:
      return absl::StatusCode::kUnimplemented;
    default:
      return status >= 500 ? absl::StatusCode::kUnavailable : absl::StatusCode::kFailedPrecondition;
  }
}

std::string Hint(const HttpResponse& response, const S3Error& error) {
  std::string region(response.Header("x-amz-bucket-region"));
  if (region.empty()) region = error.region;
  const bool elsewhere =
      response.status == 301 || response.status == 307 || error.code == "AuthorizationHeaderMalformed";
  if (elsewhere && !region.empty()) return fmt::format(" (the bucket is in region {})", region);
  if (error.code == "RequestTimeTooSkewed") return " (set this machine's clock)";
  if (error.code == "NoSuchBucket") return " (make the bucket first)";
  return {};
}

}  // namespace

absl::Status StatusOfResponse(const HttpResponse& response) {
  if (response.status >= 200 && response.status < 300) return absl::OkStatus();
  const S3Error error = ParseS3Error(response.body);
  const auto known = std::find_if(kMeanings.begin(), kMeanings.end(),
                                  [&](const CodeMeaning& meaning) { return meaning.code == error.code; });
  const absl::StatusCode code = known == kMeanings.end() ? CodeOfHttp(response.status) : known->status;
  return Errorf(code, "{}{}{}{}{}{}", response.status, error.code.empty() ? "" : " ", error.code,
                error.message.empty() ? "" : ": ", error.message, Hint(response, error));
}

bool IsRefusal(const absl::Status& status) { return absl::IsPermissionDenied(status); }

std::chrono::seconds RetryAfter(const HttpResponse& response) {
  return std::chrono::seconds(std::min<uint64_t>(ParseUint64(response.Header("retry-after")).value_or(0), 3600));
}

}  // namespace tidemark::objstore
