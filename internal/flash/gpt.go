package flash

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

var le = binary.LittleEndian

// relocate makes the image's GPT, if it has one, that of a disk of the device's
// size: its copy goes to the device's end. (UEFI specification, 5.3.)
func (i *image) relocate() error {
	if i.device == i.size {
		return nil
	}
	first := make([]byte, 2*sector)
	if _, err := i.ReadAt(first, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	header := first[sector:]
	if string(header[:8]) != "EFI PART" {
		return nil
	}
	length := le.Uint32(header[12:])
	if length < 92 || length > sector || checksum(header[:length]) != le.Uint32(header[16:]) {
		return errors.New("got an image whose partition table (GPT) is damaged: its checksum is wrong")
	}
	count, size := le.Uint32(header[80:]), le.Uint32(header[84:])
	bytes := int64(count) * int64(size)
	at := int64(le.Uint64(header[72:])) * sector
	if bytes <= 0 || bytes > 1<<20 || at < 2*sector || at+bytes > i.size {
		return errors.New("got an image whose partition table (GPT) is damaged: its entries are nowhere")
	}
	table := make([]byte, (bytes+sector-1)&^(sector-1))
	if _, err := i.ReadAt(table[:bytes], at); err != nil {
		return fmt.Errorf("reading the image's partition table: %w", err)
	}
	last := i.device/sector - 1
	sectors := int64(len(table)) / sector
	if old := int64(le.Uint64(header[32:])) * sector; old < i.size && old-int64(len(table)) > at+bytes {
		i.stale = old - int64(len(table))
	}
	le.PutUint64(header[32:], uint64(last))
	le.PutUint64(header[48:], uint64(last-sectors-1))
	copyOf := append([]byte(nil), header...)
	seal(header, length)
	le.PutUint64(copyOf[24:], uint64(last))
	le.PutUint64(copyOf[32:], 1)
	le.PutUint64(copyOf[72:], uint64(last-sectors))
	seal(copyOf, length)
	i.backup = append(table, copyOf...)
	cover(first[:sector], last)
	i.head = first
	return nil
}

// cover makes a protective MBR's entry reach to the last sector.
func cover(mbr []byte, last int64) {
	for slot := range 4 {
		e := mbr[446+16*slot:][:16]
		if e[4] == 0xEE && le.Uint32(e[8:]) == 1 && int64(le.Uint32(e[12:])) > 1<<11 { // not the small one of a hybrid
			le.PutUint32(e[12:], uint32(min(last, 1<<32-1)))
		}
	}
}

func checksum(header []byte) uint32 {
	b := append([]byte(nil), header...)
	clear(b[16:20])
	return crc32.ChecksumIEEE(b)
}

func seal(header []byte, length uint32) { le.PutUint32(header[16:], checksum(header[:length])) }
