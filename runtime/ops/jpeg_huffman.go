package ops

// The Huffman-coded part of a JPEG: codes of up to 16 bits, each followed by the bits of a number.

import "fmt"

// huffmanTable decodes by length: the codes of one length are consecutive.
type huffmanTable struct {
	values       []byte
	first, count [17]int32 // of the codes of each length
	at           [17]int   // where their values begin
}

func (d *jpegDecoder) readHuffman(b []byte) error {
	for len(b) > 0 {
		if len(b) < 17 || b[0]>>4 > 1 || b[0]&15 > 3 {
			return fmt.Errorf("broken Huffman table")
		}
		t, code, total := &huffmanTable{}, int32(0), 0
		for n := 1; n <= 16; n++ {
			t.first[n], t.count[n], t.at[n] = code, int32(b[n]), total
			code = (code + int32(b[n])) << 1
			total += int(b[n])
		}
		if total > 256 || len(b) < 17+total {
			return fmt.Errorf("broken Huffman table")
		}
		t.values = b[17 : 17+total]
		d.huffman[b[0]>>4][b[0]&15] = t
		b = b[17+total:]
	}
	return nil
}

// block decodes the 64 coefficients of one block.
func (d *jpegDecoder) block(c *jpegComponent, to []int32) error {
	size, err := d.symbol(d.huffman[0][c.dc])
	if err != nil {
		return err
	}
	if size > 15 {
		return fmt.Errorf("broken JPEG coefficient")
	}
	difference, err := d.number(int(size))
	if err != nil {
		return err
	}
	c.last += difference
	to[0] = c.last
	for k := 1; k < 64; k++ {
		s, err := d.symbol(d.huffman[1][c.ac])
		if err != nil {
			return err
		}
		run, size := int(s>>4), int(s&15)
		if size == 0 {
			if run < 15 {
				return nil // end of block
			}
			k += 15
			continue
		}
		if k += run; k > 63 {
			return fmt.Errorf("a JPEG block has more than 64 coefficients")
		}
		if to[zigzag[k]], err = d.number(size); err != nil {
			return err
		}
	}
	return nil
}

func (d *jpegDecoder) symbol(t *huffmanTable) (byte, error) {
	code := int32(0)
	for n := 1; n <= 16; n++ {
		bit, err := d.bit()
		if err != nil {
			return 0, err
		}
		code = code<<1 | bit
		if i := code - t.first[n]; i >= 0 && i < t.count[n] {
			return t.values[t.at[n]+int(i)], nil
		}
	}
	return 0, fmt.Errorf("broken Huffman code in the JPEG")
}

// number reads a signed number of so many bits: those that begin with 0 are negative.
func (d *jpegDecoder) number(size int) (int32, error) {
	v := int32(0)
	for range size {
		bit, err := d.bit()
		if err != nil {
			return 0, err
		}
		v = v<<1 | bit
	}
	if size > 0 && v < 1<<(size-1) {
		v += 1 - 1<<size
	}
	return v, nil
}

func (d *jpegDecoder) bit() (int32, error) {
	if d.count == 0 {
		if len(d.rest) == 0 {
			return 0, fmt.Errorf("the JPEG ends early")
		}
		b := d.rest[0]
		if b == 0xff { // a data byte of 0xff is followed by a zero
			if len(d.rest) < 2 || d.rest[1] != 0 {
				return 0, fmt.Errorf("the JPEG's data ends early")
			}
			d.rest = d.rest[1:]
		}
		d.rest = d.rest[1:]
		d.bits, d.count = uint32(b), 8
	}
	d.count--
	return int32(d.bits >> d.count & 1), nil
}
