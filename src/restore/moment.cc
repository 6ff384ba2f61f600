#include "restore/moment.h"

#include <utility>

#include "archive/lease.h"
#include "archive/log_reader.h"
#include "engine/expiry_clock.h"
#include "engine/transactions.h"
#include "restore/replay.h"

namespace tidemark::restore {
namespace {

class MomentImpl final : public Moment {
 public:
  MomentImpl(std::unique_ptr<kv::Store> store, Timestamp reached, Lsn lsn)
      : store_(std::move(store)), reached_(reached), lsn_(lsn) {}

  absl::Status Read(engine::TxnFunction body) override {
    TM_ASSIGN_OR_RETURN(const kv::Value stands_at, store_->Get(engine::ExpiryClockRow().view(), kv::Tier::kDisk));
    kv::Store::Reader reader = store_->Read();
    engine::ReadTxn txn(reader, kv::Tier::kDisk, reached_);
    if (stands_at) {
      TM_ASSIGN_OR_RETURN(const Timestamp moment, engine::DecodeExpiryClock(stands_at.view()));
      txn.StopExpiryAt(moment);
    }
    return body(txn);
  }
  Timestamp reached() const override { return reached_; }
  Lsn lsn() const override { return lsn_; }

 private:
  const std::unique_ptr<kv::Store> store_;
  const Timestamp reached_;
  const Lsn lsn_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Moment>> Moment::Load(objstore::ObjectStore& store, const archive::Catalog& catalog,
                                                     const Target& target, const Plan& plan,
                                                     const MomentOptions& options, Progress* progress) {
  // What cannot be leased (an archive that may only be read) is read all the same.
  const auto lease =
      archive::ArchiveLease::Take(store, Clock::System(), archive::ArchiveLease::Kind::kWork, NeedsOf(plan));
  const std::string folder = options.folder + "/store";
  if (plan.manifest) {
    progress->step = Progress::Step::kBase;
    archive::BaseOptions base;
    base.jobs = options.jobs;
    base.codec.keys = options.keys;
    TM_RETURN_IF_ERROR(archive::DownloadBase(store, *plan.manifest, folder, base, &progress->base));
  }
  progress->step = Progress::Step::kLog;
  TM_ASSIGN_OR_RETURN(std::unique_ptr<kv::Store> opened, kv::Store::Open(FillingStore(folder, options.memory)));
  archive::LogReaderOptions reader;
  reader.jobs = options.jobs;
  reader.memory = ReaderMemory(options.memory);
  reader.keys = options.keys;
  if (catalog.identity) reader.cluster_id = catalog.identity->cluster_id;
  reader.on_bytes = [progress](uint64_t stored, uint64_t) { progress->log_bytes += stored; };
  TM_ASSIGN_OR_RETURN(const ReplayOutcome outcome, ReplayLog(*opened, store, plan, target, reader, progress));
  return std::make_unique<MomentImpl>(std::move(opened), MomentReached(target, plan, outcome.last.timestamp),
                                      outcome.last.end);
}

}  // namespace tidemark::restore
