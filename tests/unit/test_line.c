/* SPDX-License-Identifier: BSD-3-Clause */
/* The importer's end of a line, against brokers that are gone, stopped, dead or lying. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backend/backend.h"
#include "backend/host/broker.h"
#include "backend/host/line.h"
#include "backend/host/memfd.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "raw.h"

#define RW IPCSHARE__READ_WRITE
#define LONG_MS 20000 /* a deadline that no test is to reach */
#define SHORT_MS 50

static struct test_resources before;
static struct ipcshare__config config;
static struct ipcshare__memfd memfd;
static struct ipcshare__backend *host;

static void start(void)
{
	struct ipcshare__backend_args args = { .config = &config, .timeout_ms = LONG_MS };

	config = (struct ipcshare__config){ .backend = "host", .timeout_s = 10 };
	test_resources(&before);
	REQUIRE_OK(ipcshare__memfd_make(8192, &memfd));
	REQUIRE_OK(ipcshare__host_ops.open(&args, &host));
}

static void stop(void)
{
	ipcshare__host_ops.close(host);
	ipcshare__memfd_drop(&memfd);
	CHECK_NOTHING_LEAKED(&before);
}

static uint64_t ms_since(uint64_t start_ns)
{
	return (ipcshare__now_ns() - start_ns) / 1000000u;
}

/* One GET of @n entries on a new line: its status. Nothing may be left open unless it is 0. */
static int get_many(uint64_t endpoint, unsigned timeout_ms, size_t n, int *fds)
{
	struct ipcshare__broker_get get[IPCSHARE__BROKER_BATCH] = { { .access = RW } };
	struct ipcshare__broker_got got[IPCSHARE__BROKER_BATCH];
	struct test_resources here;
	struct ipcshare__line line;
	int err;

	test_resources(&here);
	err = ipcshare__line_open("", endpoint, timeout_ms, "import", &line);
	if (!err) {
		err = ipcshare__line_get(&line, get, n, got, fds);
		ipcshare__line_close(&line);
	}
	if (err)
		CHECK_NOTHING_LEAKED(&here);
	return err;
}

static int get(uint64_t endpoint, unsigned timeout_ms)
{
	int fd = -1, err = get_many(endpoint, timeout_ms, 1, &fd);

	if (!err && fd >= 0)
		close(fd);
	return err;
}

/* ---- Nobody, stopped, dead ---- */

static void where_nobody_listens_is_unreachable(void)
{
	struct ipcshare__line line = { .socket = 4711 };
	struct ipcshare__line untouched = line;

	CHECK_FAILS(get(0x123456789, LONG_MS), IPCSHARE_ERR_UNREACHABLE);
	CHECK_HAS(ipcshare_last_error()->text, "ipcshare-0000000123456789");
	CHECK_HAS(ipcshare_last_error()->hint, "IPCSHARE_SOCKET_DIR");
	CHECK_FAILS(ipcshare__line_open("/nonexistent", 1, LONG_MS, "free", &line),
		    IPCSHARE_ERR_UNREACHABLE);
	CHECK_HAS(ipcshare_last_error()->text, "/nonexistent/ipcshare-");
	CHECK_STR(ipcshare_last_error()->stage, "free");
	CHECK_MEM(&line, &untouched, sizeof(line));
}

static int never_retire(void *arg, const struct ipcshare__caller *caller, uint64_t owner,
			uint32_t region, uint32_t generation)
{
	(void)arg;
	(void)caller;
	(void)owner;
	(void)region;
	(void)generation;
	return IPCSHARE_ERR_BUSY;
}

/* A real broker in a process of its own. */
static void owns(int channel, void *arg)
{
	struct ipcshare__broker *b;
	uint64_t endpoint;

	(void)arg;
	REQUIRE_OK(ipcshare__broker_start(&config, never_retire, NULL, &b));
	endpoint = ipcshare__broker_endpoint(b);
	test_send(channel, &endpoint, sizeof(endpoint));
	test_await(channel);
	ipcshare__broker_stop(b, 0);
}

static void a_stopped_owner_is_a_timeout_in_time(void)
{
	struct test_child *c = test_child(owns, NULL);
	uint64_t endpoint, start_ns;

	test_recv(c->channel, &endpoint, sizeof(endpoint));
	test_child_stop(c);
	start_ns = ipcshare__now_ns();
	CHECK_FAILS(get(endpoint, SHORT_MS), IPCSHARE_ERR_TIMEOUT);
	CHECK(ms_since(start_ns) >= SHORT_MS, "after %ju ms", (uintmax_t)ms_since(start_ns));
	CHECK(ms_since(start_ns) < 10000, "after %ju ms", (uintmax_t)ms_since(start_ns));
	CHECK(ipcshare_last_error()->hint[0], "no hint");
	test_child_continue(c);
	CHECK_STATUS(get(endpoint, LONG_MS), 0); /* answers now, though STALE for the key */
	test_signal(c->channel);
	test_child_join(c);
}

static void a_full_queue_is_a_timeout(void)
{
	uint64_t endpoint;
	int listener = raw_listen(&endpoint, 0), waiting = raw_connect(endpoint);

	CHECK_FAILS(get(endpoint, SHORT_MS), IPCSHARE_ERR_TIMEOUT);
	close(waiting);
	close(listener);
}

static void listens_and_dies(int channel, void *arg)
{
	uint64_t endpoint;
	int listener = raw_listen(&endpoint, 8), sock;
	char request[4096];

	(void)arg;
	test_send(channel, &endpoint, sizeof(endpoint));
	sock = accept(listener, NULL, NULL);
	REQUIRE(recv(sock, request, sizeof(request), 0) > 0, "no request");
	raise(SIGKILL);
}

/* Its death is seen by its socket, but the verdict has to come from its process. */
static void an_owner_that_dies_is_dead_and_not_just_unreachable(void)
{
	for (int i = 0; i < 50; i++) {
		struct test_child *c = test_child(listens_and_dies, NULL);
		uint64_t endpoint;

		test_recv(c->channel, &endpoint, sizeof(endpoint));
		if (!CHECK_FAILS(get(endpoint, LONG_MS), IPCSHARE_ERR_PEER_DEAD))
			i = 50;
		test_child_wait(c);
	}
}

static void has_a_fork_that_outlives_it(int channel, void *arg)
{
	uint64_t endpoint;
	int listener = raw_listen(&endpoint, 8), sock;
	char request[4096];

	(void)arg;
	test_send(channel, &endpoint, sizeof(endpoint));
	sock = accept(listener, NULL, NULL);
	REQUIRE(recv(sock, request, sizeof(request), 0) > 0, "no request");
	if (fork()) /* the child lives on with all the sockets, until the channel closes */
		raise(SIGKILL);
	recv(channel, request, 1, 0);
	_exit(0);
}

static void an_owner_whose_fork_lives_on_is_dead_too(void)
{
	struct test_child *c = test_child(has_a_fork_that_outlives_it, NULL);
	uint64_t endpoint;

	test_recv(c->channel, &endpoint, sizeof(endpoint));
	CHECK_FAILS(get(endpoint, LONG_MS), IPCSHARE_ERR_PEER_DEAD);
	CHECK_HAS(ipcshare_last_error()->text, "has ended");
	test_child_wait(c);
}

static volatile sig_atomic_t nsignals;

static void note_signal(int number)
{
	(void)number;
	nsignals++;
}

static void signals_do_not_cut_a_wait_short(void)
{
	struct test_child *c = test_child(owns, NULL);
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec every = { { 0, 500000 }, { 0, 500000 } }, never = { { 0, 0 }, { 0, 0 } };
	uint64_t endpoint, start_ns;
	timer_t timer;

	test_recv(c->channel, &endpoint, sizeof(endpoint));
	test_child_stop(c);
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = note_signal }, NULL);
	REQUIRE(!timer_create(CLOCK_MONOTONIC, &event, &timer), "errno %d", errno);
	timer_settime(timer, 0, &every, NULL);
	start_ns = ipcshare__now_ns();
	CHECK_FAILS(get(endpoint, SHORT_MS), IPCSHARE_ERR_TIMEOUT);
	CHECK(ms_since(start_ns) >= SHORT_MS, "after %ju ms", (uintmax_t)ms_since(start_ns));
	timer_settime(timer, 0, &never, NULL);
	timer_delete(timer);
	CHECK(nsignals > 3, "only %d signals came", (int)nsignals);
	test_child_kill(c);
}

/* ---- Malformed replies ---- */

/* Of what a fake broker's reply differs from a good one. */
struct lie {
	const char *what;
	int status; /* that the importer should give */
	void (*tell)(struct raw_reply *reply);
};

static void magic(struct raw_reply *r)
{
	r->head.magic++;
}

static void nonce(struct raw_reply *r)
{
	r->head.nonce++;
}

static void op(struct raw_reply *r)
{
	r->head.op = IPCSHARE__BROKER_RETIRE;
}

static void layout(struct raw_reply *r)
{
	r->head.layout++;
}

static void layout_and_length(struct raw_reply *r)
{
	r->head.layout++;
	r->len += 40;
}

static void layout_and_less(struct raw_reply *r)
{
	r->head.layout++;
	r->len = sizeof(r->head);
}

static void head_limit(struct raw_reply *r)
{
	r->head.status = IPCSHARE_ERR_LIMIT;
	r->len = sizeof(r->head);
}

static void head_positive(struct raw_reply *r)
{
	r->head.status = 7;
}

static void head_unknown(struct raw_reply *r)
{
	r->head.status = -4711;
}

static void count_more(struct raw_reply *r)
{
	r->head.count++;
}

static void count_none(struct raw_reply *r)
{
	r->head.count = 0;
}

static void too_long(struct raw_reply *r)
{
	r->len++;
}

static void much_too_long(struct raw_reply *r)
{
	r->len += 200 * sizeof(r->got[0]);
}

static void too_short(struct raw_reply *r)
{
	r->len--;
}

static void head_only(struct raw_reply *r)
{
	r->len = sizeof(r->head);
}

static void half_a_head(struct raw_reply *r)
{
	r->len = sizeof(r->head) / 2;
}

static void no_fd(struct raw_reply *r)
{
	r->nfds = 0;
}

static void fewer_fds(struct raw_reply *r)
{
	r->nfds--;
}

static void more_fds(struct raw_reply *r)
{
	r->fds[r->nfds++] = memfd.fd;
}

static void many_fds(struct raw_reply *r)
{
	for (r->nfds = 0; r->nfds < IPCSHARE__BROKER_BATCH; r->nfds++)
		r->fds[r->nfds] = memfd.fd;
}

static void fds_for_refused(struct raw_reply *r)
{
	r->got[1].status = IPCSHARE_ERR_STALE;
}

static void hang_up(struct raw_reply *r)
{
	r->len = 0;
}

static const struct lie lies[] = {
	{ "wrong magic", IPCSHARE_ERR_PROTOCOL, magic },
	{ "wrong nonce", IPCSHARE_ERR_PROTOCOL, nonce },
	{ "wrong op", IPCSHARE_ERR_PROTOCOL, op },
	{ "another layout", IPCSHARE_ERR_VERSION, layout },
	{ "another layout, longer", IPCSHARE_ERR_VERSION, layout_and_length },
	{ "another layout, shorter", IPCSHARE_ERR_VERSION, layout_and_less },
	{ "refused as a whole", IPCSHARE_ERR_LIMIT, head_limit },
	{ "a status that is no failure", IPCSHARE_ERR_PROTOCOL, head_positive },
	{ "a status that there is not", IPCSHARE_ERR_PROTOCOL, head_unknown },
	{ "a count too high", IPCSHARE_ERR_PROTOCOL, count_more },
	{ "no count", IPCSHARE_ERR_PROTOCOL, count_none },
	{ "a byte too many", IPCSHARE_ERR_PROTOCOL, too_long },
	{ "many entries too many", IPCSHARE_ERR_PROTOCOL, much_too_long },
	{ "a byte missing", IPCSHARE_ERR_PROTOCOL, too_short },
	{ "a head alone", IPCSHARE_ERR_PROTOCOL, head_only },
	{ "half a head", IPCSHARE_ERR_PROTOCOL, half_a_head },
	{ "no descriptor", IPCSHARE_ERR_PROTOCOL, no_fd },
	{ "a descriptor missing", IPCSHARE_ERR_PROTOCOL, fewer_fds },
	{ "a descriptor too many", IPCSHARE_ERR_PROTOCOL, more_fds },
	{ "253 descriptors", IPCSHARE_ERR_PROTOCOL, many_fds },
	{ "a descriptor for what was refused", IPCSHARE_ERR_PROTOCOL, fds_for_refused },
	{ "a hang-up", IPCSHARE_ERR_UNREACHABLE, hang_up },
};

static void answer_well(const struct raw_request *request, struct raw_reply *reply)
{
	for (size_t i = 0; i < request->head.count; i++) {
		reply->got[i].length = memfd.map_length;
		reply->fds[reply->nfds++] = memfd.fd;
	}
	reply->len += request->head.count * sizeof(reply->got[0]);
}

static void answer_with_a_lie(const struct raw_request *request, struct raw_reply *reply, void *arg)
{
	const struct lie *lie = *(const struct lie **)arg;

	answer_well(request, reply);
	if (lie)
		lie->tell(reply);
}

static void malformed_replies_are_named_and_leave_nothing(void)
{
	const struct lie *lie = NULL;
	struct raw_broker b;
	int fds[3];

	raw_broker_start(&b, answer_with_a_lie, &lie);
	CHECK_STATUS(get_many(b.endpoint, LONG_MS, 3, fds), 0); /* the truth is taken */
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	raw_broker_stop(&b);
	for (lie = lies; lie < lies + sizeof(lies) / sizeof(lies[0]); lie++) {
		raw_broker_start(&b, answer_with_a_lie, &lie);
		if (!CHECK_FAILS(get_many(b.endpoint, LONG_MS, 3, fds), lie->status))
			FAIL("%s", lie->what);
		raw_broker_stop(&b);
	}
}

/* ---- Without descriptors ---- */

static void gets_with_few_descriptors(int channel, void *arg)
{
	uint64_t endpoint = *(uint64_t *)arg;
	int lowest = dup(0), fds[8], status;
	struct rlimit limit;

	(void)channel;
	close(lowest);
	getrlimit(RLIMIT_NOFILE, &limit);
	for (int n = 0;; n++) {
		struct test_resources here;
		struct ipcshare__broker_get get[8] = { { .access = RW } };
		struct ipcshare__broker_got got[8];
		struct ipcshare__line line;

		test_resources(&here);
		limit.rlim_cur = (rlim_t)(lowest + n);
		setrlimit(RLIMIT_NOFILE, &limit);
		status = ipcshare__line_open("", endpoint, LONG_MS, "import", &line);
		if (!status) {
			status = ipcshare__line_get(&line, get, 8, got, fds);
			ipcshare__line_close(&line);
		}
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		if (!status || n > 30)
			break;
		CHECK_STATUS(status, IPCSHARE_ERR_LIMIT);
		CHECK_HAS(ipcshare_last_error()->hint, "ulimit -n");
		CHECK_NOTHING_LEAKED(&here);
	}
	CHECK_STATUS(status, 0);
	for (int i = 0; i < 8; i++)
		close(fds[i]);
}

static void too_few_descriptors_are_a_limit_and_none_is_kept(void)
{
	const struct lie *truth = NULL;
	struct raw_broker b;

	raw_broker_start(&b, answer_with_a_lie, &truth);
	test_child_join(test_child(gets_with_few_descriptors, &b.endpoint));
	raw_broker_stop(&b);
}

/* ---- Retire ---- */

#define RETIRED_WITH_A_DESCRIPTOR 99

static void answer_retire(const struct raw_request *request, struct raw_reply *reply, void *arg)
{
	CHECK_INT(request->head.op, IPCSHARE__BROKER_RETIRE);
	CHECK_INT(request->head.count, 1);
	CHECK_INT(request->retire[0].owner, 1);
	CHECK_INT(request->retire[0].region, 2);
	CHECK_INT(request->retire[0].generation, 3);
	reply->retired[0].status = *(int *)arg;
	reply->len += sizeof(reply->retired[0]);
	if (*(int *)arg == RETIRED_WITH_A_DESCRIPTOR) {
		reply->retired[0].status = 0;
		reply->fds[reply->nfds++] = memfd.fd;
	}
}

static void a_retire_gives_the_peers_answer(void)
{
	static const struct {
		int answer, status;
	} answers[] = {
		{ 0, 0 },
		{ IPCSHARE_ERR_BUSY, IPCSHARE_ERR_BUSY },
		{ IPCSHARE_ERR_NOT_ALLOWED, IPCSHARE_ERR_NOT_ALLOWED },
		{ 1, IPCSHARE_ERR_PROTOCOL },
		{ -4711, IPCSHARE_ERR_PROTOCOL },
		{ RETIRED_WITH_A_DESCRIPTOR, IPCSHARE_ERR_PROTOCOL },
	};
	const struct ipcshare__broker_retire retire = { 1, 2, 3 };
	struct test_resources here;
	struct ipcshare__line line;
	struct raw_broker b;

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		raw_broker_start(&b, answer_retire, (void *)&answers[i].answer);
		REQUIRE_OK(ipcshare__line_open("", b.endpoint, LONG_MS, "free", &line));
		test_resources(&here);
		CHECK_STATUS(ipcshare__line_retire(&line, &retire), answers[i].status);
		CHECK_NOTHING_LEAKED(&here);
		ipcshare__line_close(&line);
		raw_broker_stop(&b);
	}
}

static void hang_up_on(const struct raw_request *request, struct raw_reply *reply, void *arg)
{
	(void)request;
	(void)arg;
	reply->len = 0;
}

/* Ranks that close together would all wait for each other's death, which does not come. */
static void a_retire_that_is_hung_up_on_does_not_wait_for_a_death(void)
{
	const struct ipcshare__broker_retire retire = { 1, 2, 3 };
	uint64_t least_ns = UINT64_MAX, start_ns, took_ns;
	struct ipcshare__line line;
	struct raw_broker b;

	raw_broker_start(&b, hang_up_on, NULL);
	for (int i = 0; i < 20; i++) { /* others may have our core for a while */
		REQUIRE_OK(ipcshare__line_open("", b.endpoint, LONG_MS, "free", &line));
		start_ns = ipcshare__now_ns();
		CHECK_FAILS(ipcshare__line_retire(&line, &retire), IPCSHARE_ERR_UNREACHABLE);
		took_ns = ipcshare__now_ns() - start_ns;
		least_ns = took_ns < least_ns ? took_ns : least_ns;
		ipcshare__line_close(&line);
	}
	CHECK(least_ns < 90000000, "%ju us", (uintmax_t)(least_ns / 1000));
	raw_broker_stop(&b);
}

/* ---- Imports of a broker that sends other memory than the key names ---- */

struct offer {
	int fd;
	int status;
	uint64_t offset, length;
	int hang_up_at; /* the call, from 1 */
	int calls;
};

static void answer_offer(const struct raw_request *request, struct raw_reply *reply, void *arg)
{
	struct offer *o = arg;

	reply->len += request->head.count * sizeof(reply->got[0]);
	for (size_t i = 0; i < request->head.count; i++) {
		reply->got[i].status = o->status;
		reply->got[i].offset = o->offset;
		reply->got[i].length = o->length;
		if (!o->status)
			reply->fds[reply->nfds++] = o->fd;
	}
	if (++o->calls == o->hang_up_at)
		reply->len = 0;
}

static struct ipcshare__import import_of(uint64_t endpoint, uint64_t inode, uint64_t length)
{
	struct ipcshare__host_key key = { { 1, 2 }, endpoint, inode };
	struct ipcshare__import im = { .length = length, .access = RW };

	ipcshare__hex(&key, sizeof(key), im.key);
	return im;
}

/* What importing the memfd's key gives while the broker answers with @o. */
static void check_import(struct offer o, int expected, const char *what)
{
	struct ipcshare__import im;
	struct test_resources here;
	struct raw_broker b;
	int status;

	raw_broker_start(&b, answer_offer, &o);
	im = import_of(b.endpoint, memfd.inode, memfd.map_length);
	test_resources(&here);
	status = ipcshare__host_ops.import_keys(host, b.endpoint, &im, 1);
	if (!CHECK_STATUS(status, expected))
		FAIL("%s", what);
	CHECK_STATUS(im.status, expected);
	if (!status) {
		CHECK_INT(im.out.mapped, memfd.map_length);
		ipcshare__host_ops.close_import(host, &im.out);
	} else {
		CHECK_STATUS(ipcshare_last_error()->status, expected);
	}
	CHECK_NOTHING_LEAKED(&here);
	raw_broker_stop(&b);
}

static void other_memory_than_the_key_names_is_refused(void)
{
	uint64_t len = memfd.map_length;
	struct ipcshare__memfd other;
	int unsealed = memfd_create("users", MFD_CLOEXEC | MFD_ALLOW_SEALING), pipes[2];

	REQUIRE(!pipe2(pipes, O_CLOEXEC) && !ftruncate(unsealed, (off_t)len), "errno %d", errno);
	REQUIRE_OK(ipcshare__memfd_make(len, &other));
	check_import((struct offer){ .fd = memfd.fd, .length = len }, 0, "the truth");
	check_import((struct offer){ .fd = other.fd, .length = len }, IPCSHARE_ERR_PROTOCOL,
		     "another memfd");
	check_import((struct offer){ .fd = unsealed, .length = len }, IPCSHARE_ERR_PROTOCOL,
		     "an unsealed memfd");
	check_import((struct offer){ .fd = pipes[0], .length = len }, IPCSHARE_ERR_PROTOCOL,
		     "a pipe");
	check_import((struct offer){ .fd = memfd.fd, .length = len - 1 }, IPCSHARE_ERR_PROTOCOL,
		     "another length than the descriptor's");
	check_import((struct offer){ .fd = memfd.fd, .length = len, .offset = 4096 },
		     IPCSHARE_ERR_PROTOCOL, "an offset behind which there is too little");
	check_import((struct offer){ .fd = memfd.fd, .length = len, .offset = 1 },
		     IPCSHARE_ERR_PROTOCOL, "an offset within a page");
	check_import((struct offer){ .fd = memfd.fd, .length = len, .offset = UINT64_MAX - 4095 },
		     IPCSHARE_ERR_PROTOCOL, "an offset that wraps around");
	check_import((struct offer){ .status = IPCSHARE_ERR_STALE }, IPCSHARE_ERR_STALE, "stale");
	check_import((struct offer){ .status = IPCSHARE_ERR_NOT_ALLOWED },
		     IPCSHARE_ERR_NOT_ALLOWED, "not allowed");
	check_import((struct offer){ .status = 5 }, IPCSHARE_ERR_PROTOCOL,
		     "a status that is no failure");
	check_import((struct offer){ .status = -4711 }, IPCSHARE_ERR_PROTOCOL,
		     "a status that there is not");
	ipcshare__memfd_drop(&other);
	close(unsealed);
	close(pipes[0]);
	close(pipes[1]);
}

static void a_memfd_that_is_shorter_than_its_key_says_is_refused(void)
{
	struct ipcshare__import im;
	struct raw_broker b;
	struct offer o = { .fd = memfd.fd, .length = memfd.map_length + 1 };

	raw_broker_start(&b, answer_offer, &o);
	im = import_of(b.endpoint, memfd.inode, o.length);
	CHECK_FAILS(ipcshare__host_ops.import_keys(host, b.endpoint, &im, 1),
		    IPCSHARE_ERR_PROTOCOL);
	raw_broker_stop(&b);
}

#define BATCHES 3

static void when_the_line_breaks_the_rest_fails_with_it(void)
{
	static struct ipcshare__import im[BATCHES * IPCSHARE__BROKER_BATCH];
	struct offer o = { .fd = memfd.fd, .length = memfd.map_length, .hang_up_at = 2 };
	const size_t n = sizeof(im) / sizeof(im[0]);
	struct raw_broker b;

	raw_broker_start(&b, answer_offer, &o);
	for (size_t i = 0; i < n; i++)
		im[i] = import_of(b.endpoint, memfd.inode, memfd.map_length);
	CHECK_FAILS(ipcshare__host_ops.import_keys(host, b.endpoint, im, n),
		    IPCSHARE_ERR_UNREACHABLE);
	for (size_t i = 0; i < n; i++) {
		CHECK_STATUS(im[i].status,
			     i < IPCSHARE__BROKER_BATCH ? 0 : IPCSHARE_ERR_UNREACHABLE);
		if (!im[i].status)
			ipcshare__host_ops.close_import(host, &im[i].out);
	}
	raw_broker_stop(&b);
}

/* The late answer of one batch must not be taken for the next one's. */
static void when_the_time_is_over_it_is_for_all_batches(void)
{
	static struct ipcshare__import im[2 * IPCSHARE__BROKER_BATCH];
	struct ipcshare__backend_args args = { .config = &config, .timeout_ms = SHORT_MS };
	const size_t n = sizeof(im) / sizeof(im[0]);
	struct test_child *c = test_child(owns, NULL);
	struct ipcshare__backend *hasty;
	uint64_t endpoint;

	REQUIRE_OK(ipcshare__host_ops.open(&args, &hasty));
	test_recv(c->channel, &endpoint, sizeof(endpoint));
	test_child_stop(c);
	for (size_t i = 0; i < n; i++)
		im[i] = import_of(endpoint, memfd.inode, memfd.map_length);
	CHECK_FAILS(ipcshare__host_ops.import_keys(hasty, endpoint, im, n), IPCSHARE_ERR_TIMEOUT);
	for (size_t i = 0; i < n; i++)
		CHECK_STATUS(im[i].status, IPCSHARE_ERR_TIMEOUT);
	ipcshare__host_ops.close(hasty);
	test_child_kill(c);
}

TEST_SUITE(line, start, stop,
	TEST(where_nobody_listens_is_unreachable),
	TEST(a_stopped_owner_is_a_timeout_in_time),
	TEST(a_full_queue_is_a_timeout),
	TEST(an_owner_that_dies_is_dead_and_not_just_unreachable),
	TEST(an_owner_whose_fork_lives_on_is_dead_too),
	TEST(signals_do_not_cut_a_wait_short),
	TEST(malformed_replies_are_named_and_leave_nothing),
	TEST(too_few_descriptors_are_a_limit_and_none_is_kept),
	TEST(a_retire_gives_the_peers_answer),
	TEST(a_retire_that_is_hung_up_on_does_not_wait_for_a_death),
	TEST(other_memory_than_the_key_names_is_refused),
	TEST(a_memfd_that_is_shorter_than_its_key_says_is_refused),
	TEST(when_the_line_breaks_the_rest_fails_with_it),
	TEST(when_the_time_is_over_it_is_for_all_batches));
