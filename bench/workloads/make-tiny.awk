# Makes tiny.txt:  awk -f make-tiny.awk > tiny.txt
#
# 100,000 sizes, multiples of 8 from 64 to 4096 bytes, each equally likely, drawn with the "minimal
# standard" generator of Park and Miller (CACM 31, 1988): exact in awk's doubles, so every awk
# makes the same file.
BEGIN {
	seed = 20250101
	for (i = 0; i < 100000; i++) {
		seed = (16807 * seed) % 2147483647
		count[64 + 8 * int(seed / 2147483647 * 505)]++
	}
	print "# 100,000 buffers of 64 bytes to 4 KiB, made by make-tiny.awk; edit that, not this."
	print "#"
	print "# Sizes are drawn from a fixed seed and grouped; shuffle puts the buffers in an order"
	print "# that is the same in every run."
	print "#"
	print "shuffle 20250101"
	print "# count bytes name"
	for (bytes = 64; bytes <= 4096; bytes += 8)
		if (count[bytes])
			printf "%d %d b%d\n", count[bytes], bytes, bytes
}
