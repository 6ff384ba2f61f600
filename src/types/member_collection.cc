#include "types/member_collection.h"

namespace tidemark::types {
namespace {

absl::Status CheckLength(Type type, std::string_view member) {
  if (member.size() <= kMaxKeyBytes) return absl::OkStatus();
  return InvalidArgument("ERR {} of {} bytes is longer than the limit of {} bytes",
                         type == Type::kHash ? "field" : "member", member.size(), kMaxKeyBytes);
}

}  // namespace

absl::StatusOr<kv::Value> MemberCollection::Get(std::string_view member) {
  TM_RETURN_IF_ERROR(CheckLength(type_, member));
  if (size_ == 0) return kv::Value();
  return keyspace_->GetMemberRow(collection_, member);
}

void MemberCollection::Put(std::string_view member, std::string_view value, bool existed) {
  if (collection_ == kv::CollectionId{}) collection_ = keyspace_->txn().NewCollectionId();
  keyspace_->PutMember(collection_, member, value);
  if (!existed) ++size_;
  changed_ = true;
}

absl::StatusOr<bool> MemberCollection::Delete(std::string_view member) {
  TM_ASSIGN_OR_RETURN(const kv::Value found, Get(member));
  if (!found) return false;
  keyspace_->DeleteMember(collection_, member);
  --size_;
  changed_ = true;
  return true;
}

bool MemberCollection::Commit() {
  if (!changed_) return false;
  changed_ = false;
  if (size_ == key_.count) {
    keyspace_->txn().Touched(keyspace_->db(), key_.name);
    return false;
  }
  keyspace_->PutCollection(&key_, type_, collection_, size_, key_.expire_ms);
  return size_ == 0;
}

}  // namespace tidemark::types
