#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# coverage.sh - which lines of src/ do the tests reach? (`make coverage`)
# Prints the share for each folder and in all, and writes the lines that none reaches into
# $B/uncovered.txt. Fails below LEAST percent. B is the build folder of coverage.
# A process that is killed leaves no counts, so what it did counts only where others did it too.
set -u

# Slower than as they are shipped; and so many random cases reach no more lines.
export TIME_LIMIT="${TIME_LIMIT:-1200}" TEST_CASES="${TEST_CASES:-500}" TEST_PATIENCE="${TEST_PATIENCE:-4}"
. tests/support/steps.sh

least=${LEAST:-90}
find "$B" -name '*.gcda' -exec rm -f {} +

step "unit" $limit "$B/run-unit"
step "contract" $limit "$B/run-contract"
step "fault: delays" $limit "$B/run-fault" delays
for ranks in 2 4; do
	step "mpi: $ranks ranks" tests/support/mpirun.sh $ranks "$B/run-mpi"
done
step "mpi on ascend: 4 ranks" env IPCSHARE_BACKEND=ascend IPCSHARE_ACL_LIB="$TEST_EMU" \
	ASCENDCL_EMU_JOB="coverage-$$" tests/support/mpirun.sh 4 "$B/run-mpi"
step "topo: the ranks of a job, shown by ipcshare-info" tests/topo.sh
summary || echo "... so lines may be missing below: make test says whether these fail there too"

# gcov's text has "COUNT:LINE:TEXT", or "-" and "#####" for no code and never. One source is in several
# objects: as a header, or with the points of tests/fault.
echo
find "$B/src" "$B/fault" -name '*.gcno' -exec ${GCOV_TOOL:-gcov} -t {} + 2>/dev/null |
awk -v least="$least" -v list="$B/uncovered.txt" '
{
	count = $0
	sub(/:.*/, "", count)
	gsub(/[ *]/, "", count)
	split($0, part, ":")
	line = part[2] + 0
}
line == 0 && part[3] == "Source" {
	file = part[4]
	mine = file ~ /^src\//
	next
}
!mine || count == "-" || line == 0 { next }
{
	known[file, line] = 1
	if (count !~ /^[#=]/)
		reached[file, line] = 1
	if (line > last[file])
		last[file] = line
}
# A range goes on over lines without code.
function range(file, from, to)
{
	if (from)
		print file ":" from (to > from ? "-" to : "") >list
}
END {
	printf "" >list
	for (f in last) {
		folder = f
		sub(/\/[^\/]*$/, "", folder)
		from = 0
		for (i = 1; i <= last[f]; i++) {
			if (!((f, i) in known))
				continue
			n[folder]++
			all++
			if ((f, i) in reached) {
				hit[folder]++
				hits++
				range(f, from, to)
				from = 0
				continue
			}
			from = from ? from : i
			to = i
		}
		range(f, from, to)
	}
	close(list)
	system("sort -t: -k1,1 -k2,2n -o " list " " list)
	for (folder in n)
		printf "  %5.1f %%  %5d of %5d lines  %s\n", 100 * hit[folder] / n[folder],
			hit[folder], n[folder], folder | "sort -k6"
	close("sort -k6")
	share = all ? 100 * hits / all : 0
	printf "  %5.1f %%  %5d of %5d lines  in all, at least %d %%: %s\n", share, hits, all, least,
		share < least ? "TOO FEW" : "met"
	print "  not reached: " list
	exit share < least
}'
