// The digests that S3 asks for, over OpenSSL.
#pragma once

#include <string>
#include <string_view>

namespace tidemark::objstore {

// Raw bytes, not text.
std::string Sha256(std::string_view bytes);
std::string Md5(std::string_view bytes);
std::string HmacSha256(std::string_view key, std::string_view bytes);

std::string HexLower(std::string_view bytes);
std::string Base64(std::string_view bytes);

}  // namespace tidemark::objstore
