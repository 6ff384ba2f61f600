// What sessions and listeners need of the configuration, as atomics: CONFIG SET changes them on one thread while I/O
// threads read them.
#pragma once

#include <atomic>
#include <cstdint>

namespace tidemark::server {

// Bytes of unread output at which a client is closed: at once past `hard`, or past `soft` for `soft_seconds`. 0: never.
struct OutputLimit {
  std::atomic<uint64_t> hard = 0;
  std::atomic<uint64_t> soft = 0;
  std::atomic<uint64_t> soft_seconds = 0;
};

struct Settings {
  std::atomic<bool> sync_always = false;  // appendfsync always
  std::atomic<bool> protected_mode = true;
  std::atomic<uint64_t> max_clients = 10000;
  std::atomic<uint64_t> idle_seconds = 0;  // timeout; 0: never
  std::atomic<uint64_t> keepalive_seconds = 300;
  std::atomic<uint64_t> max_bulk_bytes = 512ull << 20;
  std::atomic<uint64_t> max_input_bytes = 1ull << 30;  // client-query-buffer-limit
  OutputLimit normal;
  OutputLimit pubsub;
};

}  // namespace tidemark::server
