"""Data much larger than the memory given: what is read from disk is right, alone and amid everything else."""

import random
import threading

import redis

from tidemark_process import Node, encode, long_form, seed

MEMORY = "8mb"


def value_of(i, generation=0):
    """4 KiB that do not compress, known from the key alone."""
    return random.Random(i * 1000 + generation).randbytes(4096)


def load(client, count):
    for first in range(0, count, 500):
        pipe = client.pipeline(transaction=False)
        for i in range(first, min(first + 500, count)):
            pipe.set(f"k{i}", value_of(i))
        pipe.execute()


def load_hashes(client, hashes, fields):
    pipe = client.pipeline(transaction=False)
    for h in range(hashes):
        pipe.hset(f"h{h}", mapping={f"f{i}": f"{h}:{i}:" + "x" * 100 for i in range(fields)})
    pipe.execute()


def check_all(client, count, generations):
    order = list(range(count))
    random.Random(1).shuffle(order)
    for first in range(0, count, 100):
        some = order[first:first + 100]
        for i, value in zip(some, client.mget([f"k{i}" for i in some])):
            assert value == value_of(i, generations.get(i, 0)), f"k{i} is wrong or missing"


def check_hashes(client, hashes, fields):
    for h in range(hashes):
        want = {f"f{i}".encode(): (f"{h}:{i}:" + "x" * 100).encode() for i in range(fields)}
        assert client.hgetall(f"h{h}") == want, f"h{h} differs"


class Overwriter(threading.Thread):
    """Gives keys new values while others read; knows which key has which."""

    def __init__(self, node, count, rng):
        super().__init__(daemon=True)
        self.client, self.count, self.rng = node.client(), count, rng
        self.generations, self.stopping, self.failure = {}, threading.Event(), None

    def run(self):
        try:
            while not self.stopping.is_set():
                i = self.rng.randrange(0, self.count, 2)
                generation = self.generations.get(i, 0) + 1
                self.client.set(f"k{i}", value_of(i, generation))
                self.generations[i] = generation
        except Exception as failure:
            self.failure = failure

    def finish(self):
        self.stopping.set()
        self.join(30)
        if self.failure:
            raise self.failure


def test_data_of_25_times_the_memory_reads_back():
    count, hashes, fields = (50000 if long_form() else 25000), 60, 500
    rng = random.Random(seed())
    with Node(maxmemory=MEMORY, store_dirty_size="2mb", log_segment_size="4mb", log_retain_size="4mb") as node:
        client = node.client()
        load(client, count)
        load_hashes(client, hashes, fields)
        node.kill9()
        node.start(seconds=60)
        client = node.client()
        check_hashes(client, hashes, fields)
        writer = Overwriter(node, count, rng)
        writer.start()
        # The odd keys are not rewritten: what is read meanwhile is known.
        for _ in range(50):
            some = [rng.randrange(1, count, 2) for _ in range(50)]
            for i, value in zip(some, client.mget([f"k{i}" for i in some])):
                assert value == value_of(i), f"k{i} is wrong or missing"
            check_transaction(client, rng, count, hashes, fields)
        check_hashes(client, hashes, fields)
        assert len(set(client.scan_iter(count=1000))) == count + hashes + 1 == client.dbsize()
        writer.finish()
        assert len(writer.generations) > 50
        check_all(client, count, writer.generations)


def check_transaction(client, rng, count, hashes, fields):
    """MULTI over cold keys: reads and a write that depends on a cold row."""
    i, h = rng.randrange(1, count, 2), rng.randrange(hashes)
    pipe = client.pipeline(transaction=True)
    pipe.get(f"k{i}").strlen(f"k{i}").hlen(f"h{h}").hget(f"h{h}", f"f{rng.randrange(fields)}").incr("transactions")
    got, length, members, field, _ = pipe.execute()
    assert got == value_of(i) and length == 4096 and members == fields and field.startswith(f"{h}:".encode())


def run_threads(*bodies):
    failures = []

    def guarded(body):
        try:
            body()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(body,), daemon=True) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "a client hangs"
    if failures:
        raise failures[0]


def test_four_io_threads_keep_every_promise_at_once_amid_cold_reads():
    """Counters by WATCH and by INCR, pairs by MSET, messages, and cold reads, all at the same time."""
    count = 8000
    rng = random.Random(seed())
    with Node(io_threads=4, maxmemory=MEMORY, store_dirty_size="1mb", log_segment_size="4mb") as node:
        load(node.client(), count)
        done = threading.Event()

        def watch_counter():
            client = node.client()
            for _ in range(25):
                while True:
                    with client.pipeline() as pipe:
                        try:
                            pipe.watch("watched")
                            number = int(pipe.get("watched") or 0)
                            pipe.multi()
                            pipe.set("watched", number + 1)
                            pipe.execute()
                            break
                        except redis.WatchError:
                            continue

        def increments():
            with node.connect() as link:
                link.sendall(encode("INCR", "counted") * 2000)
                replies = link.makefile("rb")
                numbers = [int(replies.readline()[1:]) for _ in range(2000)]
                assert numbers == sorted(set(numbers)), "answers of INCR on one connection do not rise"

        def write_pairs():
            client = node.client()
            for number in range(600):
                pair = number % 10
                client.mset({f"left{pair}": number, f"right{pair}": number})

        def read_pairs():
            client = node.client()
            while not done.is_set():
                for pair in range(10):
                    left, right = client.mget(f"left{pair}", f"right{pair}")
                    assert left == right, f"a torn MSET is seen: {left} and {right}"
                    both = client.pipeline(transaction=True).get(f"left{pair}").get(f"right{pair}").execute()
                    assert both[0] == both[1], f"a transaction sees half an MSET: {both}"

        def read_cold(own):
            client = node.client()
            for _ in range(300):
                some = [own.randrange(count) for _ in range(10)]
                for i, value in zip(some, client.mget([f"k{i}" for i in some])):
                    assert value == value_of(i), f"k{i} is wrong or missing"

        def publish(channel):
            client = node.client()
            for number in range(1000):
                assert client.publish(f"channel{channel}", number) == 2

        subscriptions = []
        for channel in (0, 1):
            for _ in range(2):
                subscription = node.client().pubsub()
                subscription.subscribe(f"channel{channel}")
                assert subscription.get_message(timeout=10)["type"] == "subscribe"
                subscriptions.append((subscription, channel))

        def writers():
            try:
                run_threads(*[watch_counter] * 20, *[increments] * 5, write_pairs, write_pairs,
                            *[lambda own=random.Random(rng.random()): read_cold(own) for _ in range(4)],
                            lambda: publish(0), lambda: publish(1))
            finally:
                done.set()

        run_threads(writers, read_pairs, read_pairs,
                    *[lambda s=s, c=c: expect_messages(s, c) for s, c in subscriptions])
        client = node.client()
        assert int(client.get("watched")) == 20 * 25
        assert int(client.get("counted")) == 5 * 2000


def expect_messages(subscription, channel):
    """Every message of the channel's one publisher, in order."""
    for expected in range(1000):
        message = subscription.get_message(timeout=60)
        assert message is not None and message["type"] == "message", f"message {expected} is missing: {message}"
        assert int(message["data"]) == expected, f"message {message['data']} came where {expected} was due"


def test_lists_of_5_times_the_memory_are_as_a_model_has_them_while_others_push_and_pop():
    """Ranges, inserts, removals and trims of lists that are on disk, and a wait that ends in one of them."""
    lists, length = 40, 500
    rng = random.Random(seed())
    # A thousand bytes that do not compress, the first few of which tell which they are.
    element = lambda name, i: f"{name}:{i}:".encode() + random.Random(i).randbytes(1000)  # noqa: E731
    with Node(io_threads=2, maxmemory=MEMORY, store_dirty_size="1mb", log_segment_size="4mb") as node:
        client = node.client()
        model = {f"l{n}": [element(n, i) for i in range(length)] for n in range(lists)}
        for name, elements in model.items():
            client.rpush(name, *elements)
        node.kill9()
        node.start(seconds=60)
        done = threading.Event()

        def queue():
            """Goes through a list of its own, so that there is always something to commit and to serve."""
            pusher, taker, sent = node.client(), node.client(), 0
            while not done.is_set():
                pusher.rpush("queue", sent)
                assert taker.blpop("queue", 10) == (b"queue", str(sent).encode())
                sent += 1

        def read_and_change():
            reader, waiting = node.client(), node.client()
            try:
                for step in range(150):
                    name, other = rng.sample(sorted(model), 2)
                    elements = model[name]
                    at = rng.randrange(len(elements))
                    assert reader.lindex(name, at) == elements[at]
                    assert reader.lrange(name, at, at + 99) == elements[at:at + 100]
                    assert reader.lpos(name, elements[at]) == at
                    match step % 5:
                        case 0:
                            fresh = b"new %d" % step
                            assert reader.linsert(name, "AFTER", elements[at], fresh) == len(elements) + 1
                            elements.insert(at + 1, fresh)
                        case 1:
                            assert reader.lrem(name, 1, elements[at]) == 1
                            del elements[at]
                        case 2:
                            assert reader.ltrim(name, 5, -2)
                            model[name] = elements[5:-1]
                        case 3:
                            assert reader.lmove(name, other, "RIGHT", "LEFT") == elements[-1]
                            model[other].insert(0, elements.pop())
                        case 4:
                            waiter = waiting.connection_pool.get_connection("BLMOVE")
                            waiter.send_command("BLMOVE", "fresh", name, "LEFT", "LEFT", 10)
                            fresh = b"moved %d" % step
                            reader.rpush("fresh", fresh)
                            assert waiter.read_response() == fresh
                            waiting.connection_pool.release(waiter)
                            elements.insert(0, fresh)
                for name, elements in model.items():
                    assert reader.lrange(name, 0, -1) == elements, f"{name} differs"
            finally:
                done.set()

        run_threads(queue, read_and_change)
