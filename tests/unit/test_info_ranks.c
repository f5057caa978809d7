/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks as ipcshare-info --topo shows them, on recorded machines, where they are made up. */
#include <stdio.h>
#include <stdlib.h>

#include "picture.h"
#include "recorded.h"
#include "support/test.h"
#include "support/tool.h"
#include "tools/topo.h"

#define NPUS "2-packages-8-npus.xml"

/* ---- Ranks that are made up ---- */

static struct ipcshare__machine *machine;
static struct ranks ranks;

/* On cores @first to @last, with that NPU. */
static void put(int rank, int first, int last, int device)
{
	struct rank *r = &ranks.rank[rank];
	struct ipcshare__wire_place p;

	for (int c = first; c <= last; c++)
		r->cores[c / 64] |= (uint64_t)1 << c % 64;
	ipcshare__place_of(machine, r->cores, RANKS_CPUS / 64, device, &p);
	r->device = device;
	r->place = (struct ipcshare_place){
		.size = sizeof(r->place),
		.package = p.package,
		.numa = p.numa,
		.cache = p.cache,
		.cores = (int)p.cores,
		.first_core = p.first,
		.device_numa = p.device_numa,
	};
	strcpy(r->place.device_address, p.address);
	ranks.order[rank] = rank;
}

/* @n of them on a machine; 0 without hwloc. */
static int make(const char *what, int n)
{
	machine = recorded_machine(what);
	if (!machine)
		return 0;
	ranks = (struct ranks){
		.n = n,
		.backend = "host",
		.rank = calloc((size_t)n, sizeof(*ranks.rank)),
		.order = calloc((size_t)n, sizeof(*ranks.order)),
	};
	REQUIRE(ranks.rank && ranks.order, "calloc");
	return 1;
}

static void drop(void)
{
	ranks_free(&ranks);
	ipcshare__machine_free(machine);
}

/* Two dies a chip, and two of the chips without a way to each other. */
static void link_npus(void)
{
	ranks.links = calloc((size_t)(ranks.n * ranks.n), sizeof(*ranks.links));
	REQUIRE(ranks.links != NULL, "calloc");
	strcpy(ranks.backend, "ascend");
	for (int i = 0; i < ranks.n; i++)
		for (int j = 0; j < ranks.n; j++)
			strcpy(ranks.links[i * ranks.n + j], i == j		? ""
							     : i / 2 == j / 2	? "SIO"
							     : i / 2 + j / 2 == 3 ? "none"
										  : "HCCS");
}

/* Rates that tell which pair it is; rank 0 can't reach the last one. */
static void measure(void)
{
	const int n = ranks.n;

	ranks.pairs = calloc((size_t)(n * n), sizeof(*ranks.pairs));
	ranks.whys = calloc((size_t)n, sizeof(*ranks.whys));
	REQUIRE(ranks.pairs && ranks.whys, "calloc");
	for (int i = 0; i < n * n; i++)
		ranks.pairs[i].rate = (i / n * 10 + i % n + 1) * 1e9;
	ranks.pairs[n - 1] = (struct rank_pair){ .status = IPCSHARE_ERR_UNREACHABLE };
	snprintf(ranks.whys[0], sizeof(ranks.whys[0]), "with rank %d: there is no way", n - 1);
}

static struct topo seen_here(void)
{
	struct topo topo = { .machine = machine, .ranks = &ranks };

	for (int r = 0; r < ranks.n; r++)
		for (int w = 0; w < RANKS_CPUS / 64; w++)
			topo.usable[w] |= ranks.rank[r].cores[w];
	return topo;
}

static void show(void)
{
	struct topo topo = seen_here();
	FILE *f = fmemopen(tool_output, sizeof(tool_output), "w");

	REQUIRE(f != NULL, "fmemopen: %m");
	topo_text(&topo, f);
	fclose(f);
	tool_check_columns();
}

static struct picture picture;

static void draw(const char *what)
{
	struct topo topo = seen_here();
	FILE *f = tmpfile();

	REQUIRE(f != NULL, "tmpfile: %m");
	CHECK_INT(topo_svg(&topo, f), 0);
	picture_read(f, &picture);
	fclose(f);
	picture_check_boxes(&picture, what);
}

/* ---- Text ---- */

static void each_rank_has_its_line(void)
{
	if (!make(NPUS, 4))
		return;
	put(0, 0, 0, 0);
	put(1, 8, 11, 2);
	put(2, 16, 31, 7);
	put(3, 0, 31, 4);
	link_npus();
	show();
	CHECK_HAS(tool_output,
		  "\nRanks\n"
		  "  rank  cores            package  NUMA  cache  NPU              nearest NIC\n"
		  "     0  0                      0     0      0  0 0000:02:00.0   mlx5_0\n"
		  "     1  8-11                   0     1      8  2 0000:21:00.0   mlx5_0\n"
		  "     2  16-31                  1     -      -  7 0000:a2:00.0   mlx5_1\n"
		  "     3  0-31                   -     -      -  4 0000:81:00.0   mlx5_1\n"
		  "  -: it is not bound to one, or there is none\n");
	CHECK_HAS(tool_output, "\nLinks between the NPUs of ranks\n"
			       "  rank     0     1     2     3\n"
			       "     0     -   SIO  HCCS  HCCS\n");
	CHECK_HAS(tool_output, "\n  --matrix tries each pair, and how fast it is\n");
	drop();
}

static void without_npus_and_nics_their_columns_are_left_out(void)
{
	if (!make("package:2 core:40 pu:1", 2))
		return;
	put(0, 0, 0, -1);
	for (int c = 3; c < 40; c += 3)
		put(1, c, c, -1);
	show();
	CHECK_HAS(tool_output, "\n  rank  cores            package  NUMA  cache\n"
			       "     0  0                      0     0      -\n"
			       "     1  3, 6, 9, ...           0     0      -\n");
	drop();
}

static void pairs_that_fail_are_shown_with_the_reason(void)
{
	if (!make(NPUS, 4))
		return;
	for (int r = 0; r < 4; r++)
		put(r, 8 * r, 8 * r, 2 * r);
	link_npus();
	measure();
	show();
	CHECK_HAS(tool_output, "\n  1 of 16 ordered pairs fail\n");
	CHECK_HAS(tool_output, "\n     0          ok          ok          ok UNREACHABLE\n"
			       "     1          ok          ok          ok          ok\n");
	CHECK_HAS(tool_output, "\n  rank 0 with rank 3: there is no way\n");
	CHECK_HAS(tool_output, "\n  rank     0     1     2     3\n"
			       "     0  1.00  2.00  3.00     -\n"
			       "     1 11.00 12.00 13.00 14.00\n");
	CHECK(!strstr(tool_output, "emulated"), "said of a real one");
	ranks.emulated = true;
	show();
	CHECK_HAS(tool_output, "(the NPUs are emulated: these speeds are no NPU's)\n");
	drop();
}

static void many_ranks_fit_the_line(void)
{
	if (!make("package:2 l3:4 core:5 pu:1", 40))
		return;
	for (int r = 0; r < 40; r++)
		put(r, r, r, -1);
	measure();
	show();
	CHECK_HAS(tool_output, "\n     9 91.00 92.00 ");
	CHECK_HAS(tool_output, "\n    39   427   428   429   430\n");
	drop();
}

/* ---- The picture ---- */

static void check_in(const char *mark, const char *part)
{
	const struct picture_box *around = picture_around(&picture, picture_box(&picture, mark));

	CHECK(around && !strcmp(around->words, part), "%s is in %s, expected %s", mark,
	      around ? around->words : "nothing", part);
}

static void check_below(const struct picture_box *mark, const char *part)
{
	const struct picture_box *box = picture_box(&picture, part);

	CHECK(mark->x >= box->x && mark->x + mark->w <= box->x + box->w && mark->y > box->y + box->h &&
		      mark->y < box->y + box->h + 8,
	      "%s at %d, %d is not below %s at %d, %d", mark->words, mark->x, mark->y, part, box->x,
	      box->y);
}

static void a_rank_is_in_the_smallest_box_that_has_its_cores(void)
{
	if (!make(NPUS, 6))
		return;
	put(0, 9, 9, -1);
	put(1, 4, 6, -1);
	put(2, 24, 28, -1);
	put(3, 16, 24, -1);
	put(4, 0, 31, -1);
	put(5, 9, 9, -1);
	draw("ranks on all levels");
	check_below(picture_box(&picture, "r0"), "9");
	check_in("r0", "Cache 24 MiB");
	check_in("r5", "Cache 24 MiB");
	check_in("rank 1", "Cache 24 MiB");
	CHECK_PTR(picture_around(&picture, picture_box(&picture, "rank 1")),
		  picture_around(&picture, picture_box(&picture, "4")));
	check_in("rank 2", "NUMA node 3, 256 GiB");
	check_in("rank 3", "Package 1");
	CHECK_PTR(picture_around(&picture, picture_box(&picture, "rank 4")), NULL);
	CHECK_HAS(picture.text, ">Not bound:<");
	drop();
}

static void a_core_of_two_threads_has_its_rank_inside(void)
{
	if (!make("2-packages-threads.xml", 2))
		return;
	put(0, machine->ncpus - 1, machine->ncpus - 1, -1);
	put(1, 0, machine->ncpus - 1, -1);
	draw("threads");
	CHECK_INT(picture_count(&picture, ">r0<"), 1);
	CHECK_INT(picture_count(&picture, ">rank 1<"), 1);
	drop();
}

static void an_npu_has_its_ranks_below(void)
{
	if (!make(NPUS, 3))
		return;
	put(0, 0, 0, 0);
	put(1, 8, 8, 5);
	put(2, 9, 9, 5);
	link_npus();
	draw("NPUs");
	check_below(picture_box(&picture, "rank 0"), "NPU 0");
	check_below(picture_box(&picture, "rank 1"), "NPU 5");
	check_below(picture_box(&picture, "rank 2"), "NPU 5");
	/* One line of the matrix for both. */
	CHECK_INT(picture_count(&picture, ">NPU 5 (rank 1)<"), 1);
	CHECK_INT(picture_count(&picture, ">NPU 5 (rank 2)<"), 0);
	drop();
}

static void every_pair_has_its_field(void)
{
	if (!make(NPUS, 8))
		return;
	for (int r = 0; r < 8; r++)
		put(r, 4 * r, 4 * r, r);
	link_npus();
	measure();
	draw("eight ranks");
	CHECK_INT(picture_count(&picture, "<rect x='") - picture_count(&picture, " rx='4'"),
		  64 + 64 + 11); /* two matrices, the scale */
	for (int row = 0; row < 8; row++)
		for (int column = 0; column < 8; column++) {
			char rate[16];

			snprintf(rate, sizeof(rate), "%d.0", row * 10 + column + 1);
			if (row || column < 7)
				picture_box(&picture, rate);
		}
	CHECK_STR(picture_box(&picture, "no")->words, "no");
	CHECK_INT(picture_count(&picture, ">no<"), 1);
	CHECK_INT(picture_count(&picture, ">SIO<"), 8);
	CHECK_INT(picture_count(&picture, ">none<"), 16);
	CHECK_HAS(picture.text, ">0 to 78.0 GB/s<");
	CHECK_HAS(picture.text, ">SIO: the two dies of one chip<");
	CHECK_HAS(picture.text, ">none: no link, so no sharing<");
	CHECK_INT(picture_count(&picture, ">PCIe: "), 0);
	CHECK_HAS(picture.text, ">rank 7: package 1, node 3, core 28<");
	drop();
}

static void any_machine_has_room_for_ranks(void)
{
	static const char *const machines[] = {
		NPUS,	"2-packages-threads.xml", "package:2 group:4 [numa(memory=96GiB)] l3:3 core:8 pu:2",
		"pu:3", "package:8 l3:1 core:1 pu:1",
	};

	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
		int n = 12;

		if (!make(machines[i], n))
			return;
		for (int r = 0; r < n; r++)
			put(r, r % machine->ncpus, r % 3 ? r % machine->ncpus : machine->ncpus - 1, r);
		link_npus();
		measure();
		draw(machines[i]);
		drop();
		test_goes_on();
	}
}

TEST_SUITE(info_ranks, NULL, NULL,
	TEST(each_rank_has_its_line),
	TEST(without_npus_and_nics_their_columns_are_left_out),
	TEST(pairs_that_fail_are_shown_with_the_reason),
	TEST(many_ranks_fit_the_line),
	TEST(a_rank_is_in_the_smallest_box_that_has_its_cores),
	TEST(a_core_of_two_threads_has_its_rank_inside),
	TEST(an_npu_has_its_ranks_below),
	TEST(every_pair_has_its_field),
	TEST(any_machine_has_room_for_ranks));
