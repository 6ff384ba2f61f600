"""What a power failure could have left of a folder: from its state before and the journal that the shim (shim.cc) wrote.

What is modelled, stricter than ext4 in its default mode:

  - Data is durable by fsync or fdatasync of its file only, after a sync that began when the change was done and that
    returned. Everything else is unsynced, however old it is: sync_file_range, close and time make nothing durable.
  - Of an unsynced file, each page of 4 KiB stands as it was at some moment since the last sync, each page at a moment
    of its own: pages reach the disk out of order. A torn page is one whose sectors of 512 bytes each have a moment of
    their own. What was never written reads as zeros.
  - The file's size has a moment of its own, too. What lies beyond it is gone.
  - Names (create, rename, link, unlink, mkdir) become durable by fsync of their folder only, not by fsync of the file.
    Of the unsynced changes to one folder some first part has happened, in order, as with a journalling file system;
    each folder has its own.

One file is treated more gently: of RocksDB's MANIFEST what was appended survives as a first part, to a whole sector, never
with a hole. RocksDB 7.8 takes a hole in the last, unsynced record for damage and refuses to open; a tail that is merely
missing it forgives. Where sizes follow data, as on ext4 and XFS, the hole needs an append over a page's border whose two
pages reach the disk in the wrong order.
"""

import os
import pathlib
import random
import shutil
import struct

ENTRY = struct.Struct("<IB3xIIQQQQ")
MAGIC = 0x4A504D54
OPEN, CREATE, WRITE, TRUNCATE, EXTEND, SYNC_BEGIN, SYNC_END = range(1, 8)
RENAME, LINK, UNLINK, MAKE_FOLDER, REMOVE_FOLDER = range(8, 13)
PAGE = 4096
SECTOR = 512


class File:
    """Durable bytes, and the changes after them: (number, kind, offset or size, bytes)."""

    def __init__(self, content=b""):
        self.durable = bytearray(content)
        self.pending = []

    def sync(self, before):
        """What was changed before the entry of that number is durable."""
        done = 0
        for number, kind, at, data in self.pending:
            if number >= before:
                break
            apply(self.durable, kind, at, data)
            done += 1
        del self.pending[:done]

    def newest(self):
        content = bytearray(self.durable)
        for _, kind, at, data in self.pending:
            apply(content, kind, at, data)
        return content

    def appended_part(self, rng, harshness):
        """The durable bytes and a first part of what was appended."""
        newest = self.newest()
        if self.pending and harshness > 0:
            kept = len(self.durable) // SECTOR if harshness == 1 else rng.randint(len(self.durable) // SECTOR,
                                                                                 len(newest) // SECTOR + 1)
            del newest[max(kept * SECTOR, len(self.durable)):]
        return newest

    def after_power_loss(self, rng, harshness):
        if not self.pending or harshness == 0:
            return self.newest()
        count = len(self.pending)
        size_moment = 0 if harshness == 1 else rng.randint(0, count)
        size = len(self.durable)
        by_page = {}
        for i, (_, kind, at, data) in enumerate(self.pending):
            if i < size_moment:
                size = changed_size(size, kind, at, data)
            if kind == WRITE:
                for page in range(at // PAGE, (at + len(data) - 1) // PAGE + 1):
                    by_page.setdefault(page, []).append(i)
        content = bytearray(self.durable)
        for _, kind, at, data in self.pending[:size_moment]:
            if kind != WRITE:
                apply(content, kind, at, data)
        content.extend(bytes(max(0, size - len(content))))
        if harshness > 1:
            for page, touching in by_page.items():
                self.lose_page(rng, content, page, touching, size_moment)
        del content[size:]
        return content

    def lose_page(self, rng, content, page, touching, size_moment):
        """Puts the page into `content` as of a moment drawn for it, or for each of its sectors."""
        torn = rng.random() < 0.25
        pieces = range(page * PAGE, (page + 1) * PAGE, SECTOR) if torn else [page * PAGE]
        length = SECTOR if torn else PAGE
        cuts = [i for i in range(size_moment) if self.pending[i][1] == TRUNCATE]
        for begin in pieces:
            moment = rng.choice([0, len(touching), rng.randint(0, len(touching))])
            piece = bytearray(self.durable[begin:begin + length])
            piece.extend(bytes(length - len(piece)))
            for i in sorted(touching[:moment] + cuts):
                _, kind, at, data = self.pending[i]
                if kind == TRUNCATE:
                    keep = min(length, max(0, at - begin))
                    piece[keep:] = bytes(length - keep)
                else:
                    low, high = max(at, begin), min(at + len(data), begin + length)
                    if low < high:
                        piece[low - begin:high - begin] = data[low - at:high - at]
            if len(content) < begin + length:
                content.extend(bytes(begin + length - len(content)))
            content[begin:begin + length] = piece


class Folder:
    """Names as they are (`now`), as they are durable, and the changes in between: (number, [(name, node or None)])."""

    def __init__(self):
        self.now, self.durable, self.pending = {}, {}, []

    def change(self, number, *changes):
        self.pending.append((number, changes))
        put(self.now, changes)

    def sync(self, before):
        done = 0
        for number, changes in self.pending:
            if number >= before:
                break
            put(self.durable, changes)
            done += 1
        del self.pending[:done]

    def after_power_loss(self, rng, harshness):
        names = dict(self.durable)
        happened = {0: len(self.pending), 1: 0}.get(harshness, rng.randint(0, len(self.pending)))
        for _, changes in self.pending[:happened]:
            put(names, changes)
        return names


def put(names, changes):
    for name, node in changes:
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def changed_size(size, kind, at, data):
    if kind == WRITE:
        return max(size, at + len(data))
    return at if kind == TRUNCATE else max(size, at)


def apply(content, kind, at, data):
    size = changed_size(len(content), kind, at, data)
    if size > len(content):
        content.extend(bytes(size - len(content)))
    if kind == WRITE:
        content[at:at + len(data)] = data
    elif kind == TRUNCATE:
        del content[at:]


def load(path, files=None):
    """A folder as it stands, all of it durable. What the shim does not see is left out."""
    folder, files = Folder(), {} if files is None else files
    for entry in os.scandir(path):
        if unseen(entry.name):
            continue
        if entry.is_dir():
            node = load(entry.path, files)
        else:
            node = files.get(entry.inode()) or File(pathlib.Path(entry.path).read_bytes())
            files[entry.inode()] = node
        folder.now[entry.name] = folder.durable[entry.name] = node
    return folder


def unseen(name):
    """The servers' messages: written through stdio, or by the test."""
    return name == "server.log" or name == "LOG" or name.startswith("LOG.old")


class Disk:
    """Replays the journal over the state at the start."""

    def __init__(self, path):
        self.path = os.path.normpath(path)
        self.root = load(path)
        self.by_inode = {}
        self.begun = {}
        self.number = 0

    def parent(self, name):
        parts = pathlib.PurePath(os.path.normpath(name)).relative_to(self.path).parts
        node = self.root
        for part in parts[:-1]:
            node = node.now[part]
        return node, (parts[-1] if parts else None)

    def find(self, name):
        folder, last = self.parent(name)
        return self.root if last is None else folder.now.get(last)

    def replay(self, journal):
        # A server that died before it changed anything has left none.
        data = pathlib.Path(journal).read_bytes() if os.path.exists(journal) else b""
        at = 0
        while at + ENTRY.size <= len(data):
            magic, kind, name_bytes, second_bytes, ino, a, data_bytes, _ = ENTRY.unpack_from(data, at)
            end = at + ENTRY.size + name_bytes + second_bytes + data_bytes
            # The last entries may be torn by the kill, of calls that never returned.
            if magic != MAGIC or end > len(data):
                break
            names = at + ENTRY.size
            first = data[names:names + name_bytes].decode()
            second = data[names + name_bytes:names + name_bytes + second_bytes].decode()
            self.number += 1
            self.entry(kind, ino, a, first, second, data[end - data_bytes:end])
            at = end
        return self

    def entry(self, kind, ino, a, first, second, data):
        if kind in (WRITE, TRUNCATE, EXTEND):
            if ino in self.by_inode:
                self.by_inode[ino].pending.append((self.number, kind, a, data))
        elif kind == SYNC_BEGIN:
            self.begun[a] = self.number
        elif kind == SYNC_END:
            if ino in self.by_inode:
                self.by_inode[ino].sync(self.begun.pop(a))
        elif kind == OPEN:
            node = self.find(first)
            if node is not None:
                self.by_inode[ino] = node
        elif not unseen(os.path.basename(first)):
            self.change_names(kind, ino, first, second)

    def change_names(self, kind, ino, first, second):
        folder, name = self.parent(first)
        if kind == CREATE:
            self.by_inode[ino] = File()
            folder.change(self.number, (name, self.by_inode[ino]))
        elif kind == MAKE_FOLDER:
            folder.change(self.number, (name, Folder()))
        elif kind in (UNLINK, REMOVE_FOLDER):
            folder.change(self.number, (name, None))
        elif kind in (LINK, RENAME):
            other, new_name = self.parent(second)
            node = folder.now[name]
            gone = [(name, None)] if kind == RENAME else []
            if other is folder:
                folder.change(self.number, *gone, (new_name, node))
            else:
                other.change(self.number, (new_name, node))
                if gone:
                    folder.change(self.number, *gone)

    def write_to(self, target, seed, harshness):
        """Makes `target` the folder after a power failure.

        harshness: 0 nothing is lost, 1 everything unsynced is lost, 2 each piece by lot.
        """
        shutil.rmtree(target, ignore_errors=True)
        self.write_folder(self.root, pathlib.Path(target), random.Random(seed), harshness, {})

    def write_folder(self, folder, path, rng, harshness, written):
        path.mkdir(parents=True, exist_ok=True)
        for name, node in sorted(folder.after_power_loss(rng, harshness).items(), key=lambda item: item[0]):
            if isinstance(node, Folder):
                self.write_folder(node, path / name, rng, harshness, written)
            elif node in written:
                os.link(written[node], path / name)
            else:
                left = node.appended_part if name.startswith("MANIFEST-") else node.after_power_loss
                write_sparse(path / name, left(rng, harshness))
                written[node] = path / name


def write_sparse(path, content):
    with open(path, "wb") as out:
        zeros = bytes(1 << 16)
        for at in range(0, len(content), 1 << 16):
            piece = content[at:at + (1 << 16)]
            if piece != zeros[:len(piece)]:
                out.seek(at)
                out.write(piece)
        out.truncate(len(content))
