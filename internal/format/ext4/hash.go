package ext4

import "math/bits"

// The hash of names in folders with an index: half of MD4, with signed characters
// (fs/ext4/hash.c).

const (
	k2 = 0o13240474631
	k3 = 0o15666365641
)

func (im *Image) hash(name string) uint32 {
	buf := [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}
	if im.opts.HashSeed != [16]byte{} {
		for i := range buf {
			buf[i] = le.Uint32(im.opts.HashSeed[4*i:])
		}
	}
	for {
		in := hashInput(name)
		halfMD4(&buf, &in)
		if len(name) <= 32 {
			break
		}
		name = name[32:]
	}
	h := buf[1] &^ 1
	if h == 0x7fffffff<<1 { // the end of a folder, for readdir
		h = 0x7ffffffe << 1
	}
	return h
}

// hashInput spreads up to 32 bytes of a name over 8 words.
func hashInput(name string) (in [8]uint32) {
	pad := uint32(len(name)) | uint32(len(name))<<8
	pad |= pad << 16
	name = name[:min(len(name), 32)]
	for i := range in {
		in[i] = pad
		for j := 4 * i; j < min(len(name), 4*i+4); j++ {
			in[i] = uint32(int32(int8(name[j]))) + in[i]<<8
		}
	}
	return in
}

func halfMD4(buf *[4]uint32, in *[8]uint32) {
	a, b, c, d := buf[0], buf[1], buf[2], buf[3]
	round := func(f func(x, y, z uint32) uint32, k uint32, order [8]int, shifts [4]int) {
		for i, n := range order {
			a = bits.RotateLeft32(a+f(b, c, d)+in[n]+k, shifts[i%4])
			a, b, c, d = d, a, b, c
		}
	}
	round(func(x, y, z uint32) uint32 { return z ^ (x & (y ^ z)) }, 0, [8]int{0, 1, 2, 3, 4, 5, 6, 7}, [4]int{3, 7, 11, 19})
	round(func(x, y, z uint32) uint32 { return (x & y) + ((x ^ y) & z) }, k2, [8]int{1, 3, 5, 7, 0, 2, 4, 6}, [4]int{3, 5, 9, 13})
	round(func(x, y, z uint32) uint32 { return x ^ y ^ z }, k3, [8]int{3, 7, 2, 6, 1, 5, 0, 4}, [4]int{3, 9, 11, 15})
	buf[0] += a
	buf[1] += b
	buf[2] += c
	buf[3] += d
}
