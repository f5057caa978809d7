# SPDX-License-Identifier: BSD-3-Clause
# json.awk - functions for the lines that ipcshare-bench --json writes: one flat object a line

# The value of a key, without quotes; "" if the line has none.
function value_of(line, key,   text)
{
	if (!match(line, "\"" key "\": (\"[^\"]*\"|[^,}]*)"))
		return ""
	text = substr(line, RSTART + length(key) + 4, RLENGTH - length(key) - 4)
	gsub(/"/, "", text)
	return text
}

# Does it have all of "key=value;key=value"? 64..4096 is a range.
function is_one(line, where,   n, i, pair, key, want, is)
{
	n = split(where, pair, ";")
	for (i = 1; i <= n; i++) {
		key = pair[i]; sub(/=.*/, "", key)
		want = substr(pair[i], length(key) + 2)
		is = value_of(line, key)
		if (want ~ /^[0-9]+\.\.[0-9]+$/) {
			if (is + 0 < want + 0 || is + 0 > substr(want, index(want, "..") + 2) + 0)
				return 0
		} else if (is != want) {
			return 0
		}
	}
	return 1
}

# 1.23e-06 -> "1.23 us"
function time_text(text,   s)
{
	s = text + 0
	return s < 1e-6 ? three(s * 1e9) " ns" : s < 1e-3 ? three(s * 1e6) " us" : \
	       s < 1 ? three(s * 1e3) " ms" : three(s) " s"
}

# Three digits that count.
function three(x) { return sprintf(x < 9.995 ? "%.2f" : x < 99.95 ? "%.1f" : "%.0f", x) }
