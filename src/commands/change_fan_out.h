// The engine tells one listener what changed; this one passes it on to several.
#pragma once

#include <string_view>
#include <vector>

#include "engine/engine.h"

namespace tidemark::commands {

class ChangeFanOut final : public engine::ChangeListener {
 public:
  // Before the engine knows this; `listener` outlives it.
  void Add(engine::ChangeListener& listener) { listeners_.push_back(&listener); }

  bool listening() const override {
    for (const engine::ChangeListener* listener : listeners_) {
      if (listener->listening()) return true;
    }
    return false;
  }
  void OnKeyChanged(DbIndex db, std::string_view key) override {
    for (engine::ChangeListener* listener : listeners_) listener->OnKeyChanged(db, key);
  }
  void OnContentsReplaced(DbIndex db) override {
    for (engine::ChangeListener* listener : listeners_) listener->OnContentsReplaced(db);
  }
  void OnKeyExpired(DbIndex db, std::string_view key) override {
    for (engine::ChangeListener* listener : listeners_) listener->OnKeyExpired(db, key);
  }

 private:
  std::vector<engine::ChangeListener*> listeners_;
};

}  // namespace tidemark::commands
