package picture

// The orientation of a picture, as a camera notes it (EXIF 2.3, tag 0x0112): in a JPEG's APP1 segment, a PNG's eXIf chunk, a WebP's EXIF
// chunk. What is broken there is passed over: the pixels can be read without it.

import (
	"bytes"
	"encoding/binary"
	"io"
)

const (
	orientationTag = 0x0112
	exifShort      = 3       // TIFF's type of two bytes
	maxExif        = 1 << 20 // bytes: a JPEG's segment holds at most 64 KiB
)

// orientation returns 1 to 8.
func orientation(r io.ReadSeeker, format string) int {
	var exif []byte
	switch format {
	case "jpeg":
		exif = exifOfJPEG(r)
	case "png":
		exif = exifOfPNG(r)
	case "webp":
		exif = exifOfWebP(r)
	}
	if n := orientationOf(bytes.TrimPrefix(exif, []byte("Exif\x00\x00"))); n >= 1 && n <= 8 {
		return n
	}
	return 1
}

// orientationOf reads the first directory of a TIFF header.
func orientationOf(b []byte) int {
	if len(b) < 8 {
		return 0
	}
	var order binary.ByteOrder
	switch string(b[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 0
	}
	at := int64(order.Uint32(b[4:]))
	if at+2 > int64(len(b)) {
		return 0
	}
	count := int(order.Uint16(b[at:]))
	for e := b[at+2:]; count > 0 && len(e) >= 12; count, e = count-1, e[12:] {
		if order.Uint16(e) == orientationTag && order.Uint16(e[2:]) == exifShort {
			return int(order.Uint16(e[8:]))
		}
	}
	return 0
}

func exifOfJPEG(r io.ReadSeeker) []byte {
	var b [4]byte
	if _, err := io.ReadFull(r, b[:2]); err != nil { // start of image
		return nil
	}
	for {
		if _, err := io.ReadFull(r, b[:]); err != nil || b[0] != 0xff {
			return nil
		}
		size := int64(binary.BigEndian.Uint16(b[2:])) - 2
		const app1, startOfScan = 0xe1, 0xda
		if b[1] == startOfScan || size < 0 {
			return nil
		}
		if b[1] != app1 {
			if _, err := r.Seek(size, io.SeekCurrent); err != nil {
				return nil
			}
			continue
		}
		segment := make([]byte, size)
		if _, err := io.ReadFull(r, segment); err != nil {
			return nil
		}
		if bytes.HasPrefix(segment, []byte("Exif\x00\x00")) { // XMP lies in such segments too
			return segment
		}
	}
}

func exifOfPNG(r io.ReadSeeker) []byte {
	if _, err := r.Seek(8, io.SeekStart); err != nil { // signature
		return nil
	}
	const checksum = 4
	return chunk(r, "eXIf", func(b []byte) (uint32, string) { return binary.BigEndian.Uint32(b), string(b[4:]) },
		func(size int64) int64 { return size + checksum })
}

func exifOfWebP(r io.ReadSeeker) []byte {
	if _, err := r.Seek(12, io.SeekStart); err != nil { // RIFF, size, WEBP
		return nil
	}
	return chunk(r, "EXIF", func(b []byte) (uint32, string) { return binary.LittleEndian.Uint32(b[4:]), string(b[:4]) },
		func(size int64) int64 { return size + size&1 })
}

// chunk returns the data of the first chunk of a name. skip says how many bytes lie between the starts of data and next chunk.
func chunk(r io.ReadSeeker, name string, head func([]byte) (uint32, string), skip func(int64) int64) []byte {
	for {
		var b [8]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return nil
		}
		size, have := head(b[:])
		if have == name && size <= maxExif {
			data := make([]byte, size)
			if _, err := io.ReadFull(r, data); err != nil {
				return nil
			}
			return data
		}
		if _, err := r.Seek(skip(int64(size)), io.SeekCurrent); err != nil {
			return nil
		}
	}
}
