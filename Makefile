# SPDX-License-Identifier: BSD-3-Clause
# make | make run | make test [SAN=address,undefined|SAN=thread] [CC=clang] [MPICC=mpicc.mpich]
# `make help` lists the targets and the variables.

MPICC    ?= mpicc##		MPI's compiler wrapper; mpicc.mpich and so on take their mpiexec along
OBJCOPY  ?= objcopy
CFLAGS   ?= -O2 -g##	beside CC, CXX, CPPFLAGS, LDFLAGS and LDLIBS as usual
SAN      ?=##		build and test with a sanitizer: address,undefined or thread
HWLOC    ?=##		0 does without hwloc; 1 wants it; else as its headers are there or not
WERROR   ?=##		1 makes warnings errors
V        ?=##		1 shows the compilers' command lines
RANKS    ?= 4##		processes of make run
WORKLOAD ?=##		names or files for make run, instead of the four of bench/workloads
BACKEND  ?=##		backend for make run, instead of the library's choice
SECONDS  ?= 600##	that make soak takes
SEED     ?=##		of make soak, to repeat a run
CASES    ?=##		of each random test in make soak, made once, instead of for so many seconds
SECONDS_EACH ?= 3600## that each parser is fuzzed by make fuzz
CALLS    ?=##		options of ipcshare-bench calls in make test-npu: --size 4K --repeat 100
PREFIX   ?= /usr/local##	where to install, with DESTDIR in front; single folders as below
BINDIR     ?= $(PREFIX)/bin
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR    ?= $(PREFIX)/share/ipcshare
MANDIR     ?= $(PREFIX)/share/man
DOCDIR     ?= $(PREFIX)/share/doc/libipcshare

# ---- What is built: a new folder of the library is one word here ----------------------------
LIB_DIRS := base backend backend/host backend/ascend memory topo group coll
# Without hwloc the machine is one part: one file of src/topo in place of another.
ifeq ($(strip $(HWLOC)),)
HWLOC := $(if $(shell $(CC) $(CPPFLAGS) -include hwloc.h -E -x c /dev/null >/dev/null 2>&1 && echo yes),1,0)
endif
LEFT_OUT := $(if $(filter 0,$(HWLOC)),src/topo/machine_hwloc.c tests/unit/test_hwloc.c,src/topo/machine_none.c)
export HWLOC_LIBS := $(if $(filter 0,$(HWLOC)),,-lhwloc)

# Each compiler and sanitizer, and coverage, has its own folder, so that their objects never meet.
comma  := ,
empty  :=
space  := $(empty) $(empty)
FLAVOUR := $(filter-out cc mpicc,$(notdir $(CC) $(MPICC))) $(subst $(comma),+,$(SAN)) $(GCOV:1=coverage)
B      := build$(addprefix /,$(subst $(space),-,$(strip $(FLAVOUR))))

objects       = $(patsubst %.c,$B/%.o,$(filter-out $(LEFT_OUT),$(wildcard $1)))
LIB_OBJ      := $(call objects,$(LIB_DIRS:%=src/%/*.c))
RDMA_OBJ     := $(call objects,src/rdma/*.c)
INFO_OBJ     := $(call objects,src/tools/*.c)
TOOL_OBJ     := $(filter-out %/ipcshare-info.o,$(INFO_OBJ))
MPI_OBJ      := $(call objects,mpi/*.c)
BENCH_OBJ    := $(call objects,bench/*.c)
SUPPORT_OBJ  := $(call objects,tests/support/*.c)
UNIT_OBJ     := $(call objects,tests/unit/*.c)
CONTRACT_OBJ := $(call objects,tests/contract/*.c)
MPITEST_OBJ  := $(call objects,tests/mpi/*.c)
FAULT_OBJ    := $(call objects,tests/fault/*.c)
FUZZ_OBJ     := $(call objects,tests/fuzz/*.c)
VERBS_OBJ    := $(call objects,tests/verbs/*.c)
RDMATEST_OBJ := $(call objects,tests/rdma/*.c)
# What tests of faults do meanwhile is as in the unit tests.
FAULT_UNIT   := $(patsubst %,$B/tests/unit/%.o,coll_case elements team workout)
TEST_OBJ     := $(SUPPORT_OBJ) $(UNIT_OBJ) $(CONTRACT_OBJ) $(MPITEST_OBJ) $(FAULT_OBJ) $(FUZZ_OBJ) \
                $(VERBS_OBJ) $(RDMATEST_OBJ)
OBJ          := $(LIB_OBJ) $(RDMA_OBJ) $(INFO_OBJ) $(MPI_OBJ) $(BENCH_OBJ) $(TEST_OBJ)
# The library once more, with points at which tests end a process.
POINT_OBJ    := $(LIB_OBJ:$B/%=$B/fault/%)

HDR      := $(wildcard include/*.h)
# Without the header of libibverbs all else is built.
VERBS    := $(shell echo '\#include <infiniband/verbs.h>' | $(CC) $(CPPFLAGS) -E - >/dev/null 2>&1 && echo 1)
ARCHIVES := $B/libipcshare.a $B/libipcshare-mpi.a $(if $(VERBS),$B/libipcshare-rdma.a)
PROGRAMS := $B/ipcshare-info $B/ipcshare-bench
TESTS    := $B/run-unit $B/run-contract $B/run-mpi $B/run-fault $B/run-rdma
# Parsers of untrusted bytes: a program each, of the file of that name.
FUZZ     := share call hello names request reply workload settings
FUZZERS  := $(FUZZ:%=$B/fuzz/%)
LIARS    := $(patsubst %,$B/fuzz/%,share call hello names)

say   = $(if $V,,@echo "  $1 $@" &&)
FLAGS := -std=c11 -D_GNU_SOURCE -Iinclude -Isrc -Wall -Wextra $(if $(filter 1,$(WERROR)),-Werror) \
         -fPIC -fvisibility=hidden -pthread -MMD -MP \
         $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer) \
         $(if $(findstring fuzzer,$(SAN)),-Wno-pass-failed) \
         $(if $(GCOV),--coverage -fprofile-update=atomic -Wl$(comma)-u$(comma)__gcov_dump)
COMPILER = $(CC)

# The MPI wrappers compile with the compiler named here, whichever they were built with.
export OMPI_CC := $(CC)
export MPICH_CC := $(CC)

# All cores unless told otherwise (make -j1); but several goals one after the other.
ifeq ($(MAKELEVEL)$(word 2,$(MAKECMDGOALS)),0)
MAKEFLAGS += -j$(shell nproc)
endif
MAKEFLAGS += --no-print-directory

all: $(ARCHIVES) $B/ipcshare-info ## build the archives and ipcshare-info (the default)
everything: all $(PROGRAMS) $(TESTS) $(FUZZERS) emu

$B/libipcshare.a: $(LIB_OBJ)
$B/libipcshare-mpi.a: $(MPI_OBJ)
$B/libipcshare-rdma.a: $(RDMA_OBJ)
$(ARCHIVES):
	$(call say,archive) rm -f $@ && $(AR) rcs $@ $^

# Their calls that can fail go to tests/fault/inject.c.
$B/fault/calls: tests/fault/inject_calls.h
	@mkdir -p $(@D)
	$(call say,list   ) sed -n 's/^\tX(\([a-z0-9_]*\)).*/\1 inject_\1/p' $< >$@
$B/fault/libipcshare.a: $(POINT_OBJ) $B/fault/calls
	$(call say,archive) rm -f $@ $@.all && $(AR) rcs $@.all $(POINT_OBJ) && \
		$(OBJCOPY) --redefine-syms=$B/fault/calls $@.all $@ && rm $@.all

$B/ipcshare-info: $(INFO_OBJ) $B/libipcshare.a
$B/ipcshare-bench: $(BENCH_OBJ) $B/libipcshare-mpi.a $B/libipcshare.a
# A libibverbs of the tests' own stands in for the one with devices, which run-rdma takes.
$B/run-unit: $(UNIT_OBJ) $(TOOL_OBJ) $(SUPPORT_OBJ) $(VERBS_OBJ) $B/libipcshare-rdma.a $B/libipcshare.a
$B/run-rdma: $(RDMATEST_OBJ) $(SUPPORT_OBJ) $B/tests/unit/team.o $B/libipcshare-rdma.a $B/libipcshare.a
$B/run-rdma: private override LDLIBS += -libverbs
$B/run-contract: $(CONTRACT_OBJ) $(SUPPORT_OBJ) $B/libipcshare.a
$B/run-mpi: $(MPITEST_OBJ) $(SUPPORT_OBJ) $B/libipcshare-mpi.a $B/libipcshare.a
$B/run-fault: $(FAULT_OBJ) $(FAULT_UNIT) $(SUPPORT_OBJ) $B/fault/libipcshare.a
$(TESTS): private override LDLIBS += -lcunit
$B/ipcshare-bench: private override LDLIBS += -lm
$B/run-unit: private override LDFLAGS += $(patsubst %,-Wl$(comma)--wrap=%,\
	ipcshare__board_post ipcshare__board_wait ipcshare__board_late ipcshare__verdict_doubt \
	ipcshare__memory_left fallocate)
# Who makes up the inputs has a main() of its own: libFuzzer, or ours, which replays those that are kept.
$(FUZZERS): $B/fuzz/%: $B/tests/fuzz/%.o $B/tests/fuzz/fuzz.o \
		$(if $(findstring fuzzer,$(SAN)),,$B/tests/fuzz/main.o)
$(FUZZERS): private override LDFLAGS += $(if $(findstring fuzzer,$(SAN)),-fsanitize=fuzzer)
$(LIARS): $B/tests/fuzz/member.o
$(LIARS): private override LDFLAGS += $(patsubst %,-Wl$(comma)--wrap=ipcshare__%,board_wait memory_left)
$B/fuzz/reply: private override LDFLAGS += -Wl$(comma)--wrap=poll
$B/fuzz/workload: $B/bench/workload.o $B/bench/pattern.o
$(FUZZERS): $B/libipcshare.a
$(PROGRAMS) $(TESTS) $(FUZZERS): private override LDLIBS += $(HWLOC_LIBS)
$(PROGRAMS) $(TESTS) $(FUZZERS):
	@mkdir -p $(@D)
	$(call say,link   ) $(COMPILER) $(FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(TEST_OBJ): private FLAGS += -Itests
NEED_MPI := $(MPI_OBJ) $(BENCH_OBJ) $(MPITEST_OBJ)
$(NEED_MPI) $B/ipcshare-bench $B/run-mpi: private COMPILER = $(MPICC)
$(OBJ): $B/%.o: %.c Makefile
$(POINT_OBJ): $B/fault/%.o: %.c Makefile
$(POINT_OBJ): private FLAGS += -DIPCSHARE__POINTS -U_FORTIFY_SOURCE
$(OBJ) $(POINT_OBJ):
	@mkdir -p $(@D)
	$(call say,compile) $(COMPILER) $(FLAGS) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# Without MPI there is libipcshare.a all the same.
ifeq ($(shell command -v $(firstword $(MPICC)) 2>/dev/null),)
$(NEED_MPI) pc: no-mpicc
no-mpicc: $B/libipcshare.a $B/ipcshare-info
	@echo "no $(MPICC) here, which all but libipcshare.a and ipcshare-info need:" \
		"'make deps' installs one, MPICC= names another" >&2; exit 1
endif

# ---- What is run: packages first, so what needs them is left to a second make ---------------
deps: ## install the packages that build and tests need and that are missing
	.ci/deps test

run: ## share four workloads among RANKS=4 processes and verify every byte
	.ci/deps run
	$(MAKE) all $B/ipcshare-bench
	$(if $(filter ascend,$(BACKEND)),$(MAKE) emu)
	$(if $(BACKEND),IPCSHARE_BACKEND=$(BACKEND)) $(if $(filter ascend,$(BACKEND)),$(USE_EMU)) \
		$(NO_ASLR) tests/support/mpirun.sh $(RANKS) \
		$B/ipcshare-bench share $(WORKLOAD:%=--workload %)

# The real runtime is used with IPCSHARE_ACL_LIB= (the usual names) or its path.
EMU_DIR := $(abspath $B)/emu
EMU     := $(EMU_DIR)/libascendcl.so
USE_EMU := IPCSHARE_ACL_LIB=$${IPCSHARE_ACL_LIB-$(EMU)} ASCENDCL_EMU_JOB=$${ASCENDCL_EMU_JOB-$$$$}
# It can't run in a program with ThreadSanitizer, which wants the addresses for itself.
export TEST_EMU := $(if $(filter thread,$(SAN)),,$(EMU))
emu: ## build the emulator of the Ascend runtime, build/emu/libascendcl.so
	+$(MAKE) -C tests/emu B=$(EMU_DIR) SAN=$(filter-out thread,$(SAN)) all

# Figures of one run, each with its baseline; nothing else should run meanwhile.
bench: BENCH := full
bench: run-bench ## time the hot path against its baselines: build/bench/index.html
bench-quick: BENCH := quick
bench-quick: run-bench ## the same in about a minute: fewer sizes and rounds
bench-check: BENCH := check
bench-check: run-bench ## the same as bench, and fail if a target is missed by more than the spread
run-bench:
	.ci/deps run
	.ci/deps bench || echo "... so there will be no plots"
	$(MAKE) $B/ipcshare-bench $(if $(TEST_EMU),emu)
	bench/run.sh $(BENCH)

# The scripts of the tests, and the makes they start, use the same flavour.
export B CC CXX MPICC SAN
test: ## build and run every test; the last line counts them
	.ci/deps test
	+$(NO_ASLR) tests/run.sh "$(MAKE) -k everything"

# CUnit comes as a package's file, for it can't be installed beside our own everywhere.
test-aarch64: ## cross-build for AArch64, and run the unit tests under qemu-user
	.ci/deps test-aarch64
	.ci/cunit-arm64 build/cunit-arm64
	tests/aarch64.sh

# libFuzzer comes with clang; what it finds goes into tests/fuzz/corpus, which `make test` replays.
FUZZ_FLAVOUR := CC=clang SAN=fuzzer-no-link,address,undefined
fuzz-quick: SECONDS_EACH := 60
fuzz fuzz-quick: ## alter what other processes say, for an hour (a minute) each parser; prints a table
	.ci/deps fuzz
	$(MAKE) $(FUZZ_FLAVOUR) fuzzers
	$(NO_ASLR) tests/fuzz/run.sh build/clang-fuzzer-no-link+address+undefined/fuzz $(SECONDS_EACH) $(FUZZ)
fuzzers: $(FUZZERS)

# Debian's kernel is fetched once, into build/rdma-vm, and not installed.
test-rdma: ## move a peer's buffers by RDMA, over a soft-RoCE device in a small virtual machine
	.ci/deps test-rdma
	$(MAKE) $B/run-rdma $B/ipcshare-info
	tests/vm.sh $B/run-rdma
	tests/vm.sh $B/ipcshare-info | grep -e 'RDMA devices: rxe0' -e '^skipped'

test-numa: ## memory on the NUMA node of its owner, in the same virtual machine, which has two
	.ci/deps test-rdma
	$(MAKE) $B/run-unit
	$(MAKE) run-numa
run-numa:
	@tests/vm.sh $(CACHED) $B/run-unit $(if $(filter 0,$(HWLOC)),,hwloc.) where. nic.pages machine.this

soak: ## long runs, and random tests from one seed after the other, for SECONDS=600
	.ci/deps test
	$(MAKE) $B/run-unit $B/run-contract $B/run-fault $B/run-mpi $(if $(TEST_EMU),emu)
	$(NO_ASLR) env SOAK_SECONDS=$(SECONDS) SEED=$(SEED) CASES=$(CASES) tests/soak.sh

# Whatever TEST_EMU says, the runtime is the one that is found.
test-npu: ## run what an NPU can show on the CANN that is found; prints a report to send us
	.ci/deps test
	$(MAKE) $(PROGRAMS) $(TESTS)
	$(NO_ASLR) tests/npu.sh $(CALLS)

# Warnings are errors for both compilers, in folders of their own.
lint: ## static checks: gcc and clang without warnings, clang-tidy, cppcheck, clang-format
	.ci/deps lint
	+$(MAKE) everything WERROR=1
	+$(MAKE) everything WERROR=1 CC=clang
	tests/lint.sh

format: ## let clang-format write src, include and mpi as `make lint` wants them
	.ci/deps lint
	clang-format -i $$(find src include mpi -name '*.[ch]')

memcheck: ## most unit tests under valgrind's memcheck
	.ci/deps lint
	$(MAKE) $B/run-unit
	tests/memcheck.sh

# What threads, children and other processes can upset most; `make test SAN=...` is the whole.
MEMORY_SUITES := arena. blob. blocks. broker. broker_clients. broker_hostile. cache. chain. coll_check. coll_direct. \
	coll_view. free. group. group_death. group_faults. group_hostile. group_lies. invalidate. lacks. lazy. \
	maps. memfd. mix. onesided. plan. pull. rdma. rdma_device. rdma_keys. rdma_keys_bad. rdma_record. \
	rdma_revoke. recipe. relay. resolve. set_model. share. share_bad. slab. update.
THREAD_SUITES := arena_threads. blocks. cache. coll_check. coll_view. directory. free. group. group_faults. handle. \
	index. invalidate. lazy. maps. mix.threads mix.so_do rdma. rdma_revoke. recipe. resolve. share. update.
sanitize: ## chosen unit tests with ASan and UBSan, then with TSan
	.ci/deps test
	+$(MAKE) SAN=address,undefined SUITES="$(MEMORY_SUITES)" run-sanitized
	+$(MAKE) SAN=thread SUITES="$(THREAD_SUITES)" run-sanitized
run-sanitized: $B/run-unit $(if $(TEST_EMU),emu)
	$(NO_ASLR) timeout --foreground --verbose --kill-after=10 1200 $B/run-unit $(SUITES)

# Without optimization, so that each line is its own.
coverage: ## which lines of src the tests reach: build/coverage/uncovered.txt
	.ci/deps test
	$(MAKE) GCOV=1 CFLAGS="-O0 -g" run-coverage
run-coverage: everything
	tests/coverage.sh

check-layers: ## hold the one-way dependencies and the exported names
	$(MAKE) $(ARCHIVES)
	tests/check-layers.sh --self-test
	tests/check-layers.sh

# A report must fail the test that caused it; the *.supp name what is inside MPI.
ifneq ($(SAN),)
SUPP := print_suppressions=0:exitcode=86:suppressions=$(CURDIR)/tests/support
# The slow unwinder finds MPI's name on a stack although MPI has no frame pointers.
# Little freed memory is held back: tests look at the resident set after a thousand cycles.
export ASAN_OPTIONS := detect_leaks=1:exitcode=86:fast_unwind_on_malloc=0:quarantine_size_mb=1
export LSAN_OPTIONS := $(SUPP)/lsan.supp
export UBSAN_OPTIONS := halt_on_error=1:exitcode=86:print_stacktrace=1
# Tests fork while the broker thread runs, as users do.
export TSAN_OPTIONS := die_after_fork=0:$(SUPP)/tsan.supp
export TIME_LIMIT ?= 900
export TEST_PATIENCE ?= 3
# Older sanitizers can't place their shadow where addresses are more random than this.
NO_ASLR := $(shell [ "$$(cat /proc/sys/vm/mmap_rnd_bits)" -le 28 ] || \
             { setarch -R true 2>/dev/null && echo setarch -R; })
endif

# ---- Installing ---------------------------------------------------------------------------------
# Every file once, as what@where; uninstall removes precisely these.
PC        := $(patsubst %.in,$B/%,$(filter-out $(if $(VERBS),,%-rdma.pc.in),$(wildcard pkgconfig/*.pc.in)))
MAN       := $(wildcard docs/man/*.[0-9])
WORKLOADS := $(wildcard bench/workloads/*.txt)
EXAMPLES  := $(wildcard docs/examples/*.c)
INSTALLED := $(ARCHIVES:%=%@$(LIBDIR)) $(PC:%=%@$(LIBDIR)/pkgconfig) $(HDR:%=%@$(INCLUDEDIR)) \
             $(PROGRAMS:%=%@$(BINDIR)) $(WORKLOADS:%=%@$(DATADIR)/workloads) LICENSE@$(DOCDIR) \
             $(EXAMPLES:%=%@$(DOCDIR)/examples) \
             $(foreach man,$(MAN),$(man)@$(MANDIR)/man$(subst .,,$(suffix $(man))))

install: $(ARCHIVES) $(PROGRAMS) pc ## install to PREFIX=/usr/local; honours DESTDIR
	@set -e; for f in $(INSTALLED); do \
		to="$(DESTDIR)$${f#*@}/$$(basename "$${f%@*}")"; from="$${f%@*}"; echo "  $$to"; \
		install -D -m $$([ -x "$$from" ] && echo 755 || echo 644) "$$from" "$$to"; \
	done

uninstall: ## remove what install installed
	@for f in $(INSTALLED); do rm -f "$(DESTDIR)$${f#*@}/$$(basename "$${f%@*}")"; done
	@for d in $(DATADIR)/workloads $(DATADIR) $(DOCDIR)/examples $(DOCDIR); do \
		rmdir "$(DESTDIR)$$d" 2>/dev/null || :; done

# Written at each install, as they name its folders; what MPI needs is what its wrapper says.
pc:
	@mkdir -p $B/pkgconfig
	@for pc in $(PC); do sed \
		-e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|' \
		-e "s|@VERSION@|$$($(version))|" -e 's|@REQUIRES@|$(HWLOC_LIBS:-l%=%)|' \
		-e "s|@MPI_CFLAGS@|$$($(call mpi_flags,compile,[ID]))|" \
		-e "s|@MPI_LIBS@|$$($(call mpi_flags,link,[Ll]))|" $${pc#$B/}.in >$$pc; done
version   = sed -n 's/^.define IPCSHARE_VERSION_[MP][A-Z]* //p' include/ipcshare.h | paste -sd.
mpi_flags = { $(MPICC) --showme:$1 2>/dev/null || $(MPICC) -$1-info; } | tr ' ' '\n' | \
	grep -e '^-$2' -e '^-Wl,-rpath' -e '^-pthread' | paste -sd' '

clean: ## remove all that was built
	rm -rf build

help: ## list the targets and the variables
	@sed -n 's/^\([a-z0-9 -]*\):.*## /  \1\t/p' Makefile | expand -t 16
	@echo "Variables, as NAME=value:"
	@sed -n 's/^\([A-Z_]*\) *?= *\(.*\)##\t*/  \1\t\2\t/p' Makefile | expand -t 12,24

.PHONY: all everything lint format memcheck sanitize run-sanitized coverage run-coverage run bench bench-quick bench-check run-bench emu test fuzz fuzz-quick fuzzers soak test-aarch64 test-npu test-rdma test-numa run-numa deps check-layers install uninstall pc clean help no-mpicc
-include $(OBJ:.o=.d) $(POINT_OBJ:.o=.d)
