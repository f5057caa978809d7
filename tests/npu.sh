#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# npu.sh [ARG ...] - the contract suite and the MPI tests on the NPUs of this machine, and what each
# call costs, as a report to send us (`make test-npu`)
# ARGs are options of `ipcshare-bench calls`. B is the build folder. The runtime is the one that
# IPCSHARE_ACL_LIB or the usual names find.
# Exit status: 0; 1 something failed; 77 no NPU was found, and nothing was run.
set -u

# A first call on an NPU may take seconds, which the emulator's don't.
export TIME_LIMIT="${TIME_LIMIT:-3600}" TEST_PATIENCE="${TEST_PATIENCE:-10}"
# Even if it is the emulator that is found, it passes for an NPU. All ranks are on one of its machines.
export IPCSHARE_BACKEND=ascend TEST_NPU=1 ASCENDCL_EMU_JOB="${ASCENDCL_EMU_JOB:-npu-$$}"
unset TEST_EMU
. tests/support/steps.sh

doctor=$B/npu-doctor.txt
report=$B/npu-report.txt

# What of the doctor's findings about ascend failed, with the remedies.
failures()
{
	awk '/^ascend/ { here = 1; next } /^[^ ]/ { here = 0 }
		/^  [^ ]/ { show = here && /  failed  / } show' "$doctor"
}

driver_version()
{
	root=$(sed -n 's/^Driver_Install_Path_Param=//p' /etc/ascend_install.info 2>/dev/null)
	file=${root:-/usr/local/Ascend}/driver/version.info
	version=$(sed -n 's/^Version=//p' "$file" 2>/dev/null | head -n 1)
	[ -n "$version" ] || version=$(npu-smi info 2>/dev/null |
		sed -n 's/.*Version: *\([^ |]*\).*/\1/p' | head -n 1)
	echo "${version:-unknown: there is no $file, and npu-smi does not tell}"
}

head_of_report()
{
	echo "libipcshare on an NPU, $(date -u '+%Y-%m-%d %H:%M') UTC"
	if grep -q 'emulator' "$doctor"; then
		echo "THE RUNTIME IS AN EMULATOR: no NPU was tested, and no time below is an NPU's."
	else
		echo "driver: $(driver_version)"
	fi
	echo
	cat "$doctor"
}

tests()
{
	head_of_report
	ranks=$((devices < 4 ? devices : 4))
	step "contract: what every backend promises" $limit "$B/run-contract"
	step "mpi: $ranks ranks, a device each" tests/support/mpirun.sh $ranks "$B/run-mpi"
	step "topo: where the ranks are, and how fast they reach each other" \
		tests/support/mpirun.sh $ranks "$B/ipcshare-info" --topo --matrix
	if [ "$devices" -gt 1 ]; then
		step "pairs: who reaches whom" \
			tests/support/mpirun.sh $ranks "$B/ipcshare-bench" pairs
		step "calls: what each one costs" \
			tests/support/mpirun.sh 2 "$B/ipcshare-bench" calls "$@"
	else
		step "pairs, calls" echo "skipped: pairs and calls: they take two devices, here is one"
	fi
	summary
}

"$B/ipcshare-info" --doctor >"$doctor" 2>&1
devices=$(sed -n 's/^  devices  *ok  *\([0-9]*\);.*/\1/p' "$doctor")
if [ -z "$devices" ]; then
	echo "No NPU was found, so nothing was tested. What was looked for, and what helps:"
	failures
	exit 77
fi
tests "$@" 2>&1 | tee "$report"
echo "This is in $report: please send it to us, whatever it says."
tail -n 1 "$report" | grep -q ', 0 failed'
