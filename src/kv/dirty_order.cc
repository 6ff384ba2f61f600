#include "kv/dirty_order.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"

namespace tidemark::kv {

DirtyOrder::Slice DirtyOrder::SliceAt(std::string_view key, size_t offset) {
  const size_t left = key.size() - offset;
  if (left >= Slice::kBytes) {
    return {LoadBig<uint64_t>(key.data() + offset), left > Slice::kBytes ? Slice::kMore : Slice::kBytes};
  }
  char padded[Slice::kBytes] = {};
  std::memcpy(padded, key.data() + offset, left);
  return {LoadBig<uint64_t>(padded), left};
}

void DirtyOrder::Insert(Entry* entry) {
  ++size_;
  Layer* layer = &root_;
  for (size_t offset = 0;; offset += Slice::kBytes) {
    const Slice slice = SliceAt(entry->key(), offset);
    const auto [at, inserted] = layer->places.try_emplace(slice, Place(entry));
    if (inserted) return;
    TM_CHECK(slice.size == Slice::kMore, "a row is dirty twice");
    if (at->second.layer() == nullptr) {
      Entry* other = at->second.entry();
      auto* below = new Layer;
      below->places.emplace(SliceAt(other->key(), offset + Slice::kBytes), Place(other));
      at->second = Place(below);
    }
    layer = at->second.layer();
  }
}

bool DirtyOrder::Contains(std::string_view key) const {
  const Layer* layer = &root_;
  for (size_t offset = 0;; offset += Slice::kBytes) {
    const auto at = layer->places.find(SliceAt(key, offset));
    if (at == layer->places.end()) return false;
    layer = at->second.layer();
    if (layer == nullptr) return at->second.entry()->key() == key;
  }
}

// Layers that become empty go; one that is left with a single row stays, which costs a step and no more.
void DirtyOrder::Erase(const Entry* entry) {
  absl::InlinedVector<std::pair<Layer*, Places::iterator>, 6> path;
  Layer* layer = &root_;
  for (size_t offset = 0; layer != nullptr; offset += Slice::kBytes) {
    const auto at = layer->places.find(SliceAt(entry->key(), offset));
    TM_CHECK(at != layer->places.end(), "a row to be erased is not dirty");
    path.emplace_back(layer, at);
    layer = at->second.layer();
  }
  TM_CHECK(path.back().second->second.entry() == entry, "another row is dirty under this key");
  --size_;
  while (true) {
    auto [owner, at] = path.back();
    owner->places.erase(at);
    path.pop_back();
    if (path.empty() || !owner->places.empty()) return;
    delete owner;
  }
}

// Without recursion: a chain of layers is as long as the longest prefix that two keys have in common.
void DirtyOrder::FreeBelow(Layer& root) {
  std::vector<Layer*> layers;
  const auto gather = [&layers](const Layer& layer) {
    for (const auto& [slice, place] : layer.places) {
      if (place.layer() != nullptr) layers.push_back(place.layer());
    }
  };
  gather(root);
  while (!layers.empty()) {
    const std::unique_ptr<Layer> layer(layers.back());
    layers.pop_back();
    gather(*layer);
  }
}

void DirtyOrder::clear() {
  FreeBelow(root_);
  root_.places.clear();
  size_ = 0;
}

void DirtyOrder::swap(DirtyOrder& other) {
  root_.places.swap(other.root_.places);
  std::swap(size_, other.size_);
}

DirtyOrder::Cursor::Cursor(const DirtyOrder& order) {
  path_.push_back({order.root_.places.begin(), order.root_.places.end()});
  LeaveEnded();
  Descend();
}

DirtyOrder::Cursor::Cursor(const DirtyOrder& order, std::string_view key) {
  const Layer* layer = &order.root_;
  for (size_t offset = 0; layer != nullptr; offset += Slice::kBytes) {
    const Slice slice = SliceAt(key, offset);
    const auto at = layer->places.lower_bound(slice);
    path_.push_back({at, layer->places.end()});
    // All of another slice lies above `key`, as does a key that goes on where `key` ends.
    if (at == layer->places.end() || !(at->first == slice)) break;
    layer = at->second.layer();
    if (layer == nullptr && at->second.entry()->key() < key) ++path_.back().at;
  }
  LeaveEnded();
  Descend();
}

void DirtyOrder::Cursor::Next() {
  ++path_.back().at;
  LeaveEnded();
  Descend();
}

void DirtyOrder::Cursor::LeaveEnded() {
  while (!path_.empty() && path_.back().at == path_.back().end) {
    path_.pop_back();
    if (!path_.empty()) ++path_.back().at;
  }
}

void DirtyOrder::Cursor::Descend() {
  while (!path_.empty() && path_.back().at->second.layer() != nullptr) {
    const Places& below = path_.back().at->second.layer()->places;
    path_.push_back({below.begin(), below.end()});
  }
}

DirtyOrder::DownCursor::DownCursor(const DirtyOrder& order, std::string_view key) {
  const Layer* layer = &order.root_;
  for (size_t offset = 0; layer != nullptr; offset += Slice::kBytes) {
    const Slice slice = SliceAt(key, offset);
    const auto at = layer->places.lower_bound(slice);
    path_.push_back({at, layer->places.begin()});
    // All of another slice lies above `key`, as does a key that goes on where `key` ends.
    if (at == layer->places.end() || !(at->first == slice)) break;
    layer = at->second.layer();
    if (layer == nullptr && at->second.entry()->key() < key) return;
  }
  StepDown();
}

void DirtyOrder::DownCursor::Next() { StepDown(); }

void DirtyOrder::DownCursor::StepDown() {
  while (!path_.empty() && path_.back().at == path_.back().begin) path_.pop_back();
  if (path_.empty()) return;
  --path_.back().at;
  while (const Layer* below = path_.back().at->second.layer()) {
    path_.push_back({std::prev(below->places.end()), below->places.begin()});
  }
}

}  // namespace tidemark::kv
