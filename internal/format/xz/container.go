package xz

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"slices"
)

// block is one record of an index.
type block struct {
	offset   int64 // of its header in the file
	unpadded int64 // header, compressed data and check
	size     int64 // decoded
	check    byte  // the kind of check, from the stream's flags
}

func (b block) padded() int64 { return (b.unpadded + 3) &^ 3 }
func (b block) end() int64    { return b.offset + b.padded() }

const (
	headerSize = 12 // of a stream header, and of a footer
	maxBlocks  = 1 << 22
	maxSize    = 1 << 62
)

// readIndexes finds the blocks of all streams of a file, from its end.
func readIndexes(r io.ReaderAt, size int64) ([]block, error) {
	var magic [len(Magic)]byte
	if _, err := r.ReadAt(magic[:], 0); err != nil && err != io.EOF {
		return nil, err
	}
	if string(magic[:]) != Magic {
		return nil, ErrFormat
	}
	if size%4 != 0 {
		return nil, fmt.Errorf("truncated: got %d bytes, want a multiple of 4", size)
	}
	var streams [][]block
	total := 0
	for end := size; end > 0; {
		var err error
		if end, err = skipPadding(r, end); err != nil {
			return nil, err
		}
		blocks, start, err := readStream(r, end)
		if err != nil {
			return nil, err
		}
		if total += len(blocks); total > maxBlocks {
			return nil, fmt.Errorf("got more than %d blocks", maxBlocks)
		}
		streams = append(streams, blocks)
		end = start
	}
	slices.Reverse(streams)
	return slices.Concat(streams...), nil
}

// skipPadding steps back over zero bytes between streams, in groups of four.
func skipPadding(r io.ReaderAt, end int64) (int64, error) {
	buf := make([]byte, 4096)
	for end > 0 {
		b := buf[:min(end, int64(len(buf)))]
		if err := readAt(r, b, end-int64(len(b))); err != nil {
			return 0, err
		}
		for i := len(b); i > 0; i -= 4 {
			if binary.LittleEndian.Uint32(b[i-4:]) != 0 {
				return end - int64(len(b)-i), nil
			}
		}
		end -= int64(len(b))
	}
	return 0, fmt.Errorf("%w: padding without a stream", ErrFormat)
}

// readStream reads the stream that ends at end: its footer, index and header.
func readStream(r io.ReaderAt, end int64) (blocks []block, start int64, err error) {
	var foot, head [headerSize]byte
	if end < 2*headerSize+8 {
		return nil, 0, errors.New("truncated: no room for a stream")
	}
	if err := readAt(r, foot[:], end-headerSize); err != nil {
		return nil, 0, err
	}
	if string(foot[10:]) != "YZ" {
		return nil, 0, errors.New("truncated or corrupt: no stream footer at the end")
	}
	if crc32.ChecksumIEEE(foot[4:10]) != binary.LittleEndian.Uint32(foot[:]) {
		return nil, 0, errors.New("corrupt stream footer")
	}
	indexSize := (int64(binary.LittleEndian.Uint32(foot[4:])) + 1) * 4
	indexStart := end - headerSize - indexSize
	if indexStart < headerSize {
		return nil, 0, errors.New("corrupt stream footer: index larger than the file")
	}
	blocks, length, err := readIndex(io.NewSectionReader(r, indexStart, indexSize), indexSize)
	if err != nil {
		return nil, 0, fmt.Errorf("index: %w", err)
	}
	start = indexStart - length - headerSize
	if start < 0 {
		return nil, 0, errors.New("corrupt index: blocks larger than the file")
	}
	if err := readAt(r, head[:], start); err != nil {
		return nil, 0, err
	}
	if string(head[:6]) != Magic || crc32.ChecksumIEEE(head[6:8]) != binary.LittleEndian.Uint32(head[8:]) {
		return nil, 0, errors.New("corrupt stream header, or an index that does not fit the blocks")
	}
	if head[6] != foot[8] || head[7] != foot[9] {
		return nil, 0, errors.New("corrupt: header and footer of the stream disagree")
	}
	if head[6] != 0 || head[7] > 15 {
		return nil, 0, fmt.Errorf("unsupported stream flags %#x %#x", head[6], head[7])
	}
	offset := start + headerSize
	for i := range blocks {
		blocks[i].offset, blocks[i].check = offset, head[7]
		offset += blocks[i].padded()
	}
	return blocks, start, nil
}

// readIndex reads the records; length is what all blocks take in the file.
func readIndex(r io.Reader, size int64) (blocks []block, length int64, err error) {
	sum := &sumReader{r: bufio.NewReader(r), sum: crc32.NewIEEE()}
	if b, err := sum.ReadByte(); err != nil || b != 0 {
		return nil, 0, errCorrupt
	}
	count, err := uvarint(sum)
	if err != nil || count > uint64(size)/2 {
		return nil, 0, fmt.Errorf("%w: absurd number of blocks", errCorrupt)
	}
	if count > maxBlocks {
		return nil, 0, fmt.Errorf("got %d blocks, want at most %d", count, maxBlocks)
	}
	var total uint64
	for range count {
		unpadded, err1 := uvarint(sum)
		n, err2 := uvarint(sum)
		total += n
		if err1 != nil || err2 != nil || unpadded < 5 || unpadded > maxSize || n > maxSize || total > maxSize || length > maxSize {
			return nil, 0, errCorrupt
		}
		b := block{unpadded: int64(unpadded), size: int64(n)}
		length += b.padded()
		blocks = append(blocks, b)
	}
	for sum.n%4 != 0 {
		if b, err := sum.ReadByte(); err != nil || b != 0 {
			return nil, 0, errCorrupt
		}
	}
	if sum.n+4 != size {
		return nil, 0, errCorrupt
	}
	var want [4]byte
	got := sum.sum.Sum32()
	if _, err := io.ReadFull(sum.r, want[:]); err != nil || got != binary.LittleEndian.Uint32(want[:]) {
		return nil, 0, fmt.Errorf("%w: wrong check sum", errCorrupt)
	}
	return blocks, length, nil
}

// sumReader counts and sums the bytes that are read.
type sumReader struct {
	r   *bufio.Reader
	sum hash.Hash32
	n   int64
	one [1]byte
}

func (s *sumReader) ReadByte() (byte, error) {
	b, err := s.r.ReadByte()
	if err == nil {
		s.one[0] = b
		s.sum.Write(s.one[:])
		s.n++
	}
	return b, err
}

// uvarint reads a number of at most 9 bytes, 7 bits in each, the lowest first.
func uvarint(r io.ByteReader) (uint64, error) {
	var v uint64
	for i := range 9 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		if b == 0 && i > 0 {
			return 0, errCorrupt // not the shortest form
		}
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return v, nil
		}
	}
	return 0, errCorrupt
}

func readAt(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return truncated(err)
}
