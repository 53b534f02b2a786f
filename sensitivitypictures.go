package onnxprune

// The pictures of a sensitivity analysis: kept as far as the memory allows, and handed out some at a time.

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"onnxprune/runtime/dataset"
	"onnxprune/runtime/evaluation"
)

// items are the pictures of a data set that can be read, in order. Their inputs are kept where all of them fit into half of the memory; else they are made
// anew for each pass.
type items struct {
	known []*dataset.Item
	kept  bool
}

// each calls f for all pictures of a block, several at a time.
func (a *analysing) each(ctx context.Context, block []*dataset.Item, f func(context.Context, int, *dataset.Item) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(a.gauge.workers())
	for k, item := range block {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := f(ctx, k, item); err != nil {
				return fmt.Errorf("%s: %w", item.Sample.Name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// collect calls run with all pictures, some at a time, and keeps their inputs as long as they fit.
func (a *analysing) collect(ctx context.Context, run func(block []*dataset.Item) error) ([]dataset.Broken, error) {
	loader := a.gauge.loader(0)
	a.items.kept = true
	kept := int64(0)
	var block []*dataset.Item
	flush := func() error {
		err := run(block)
		block = nil
		if a.items.kept = a.items.kept && kept <= a.opt.Memory/2; !a.items.kept {
			for _, i := range a.items.known {
				i.Inputs = nil
			}
		}
		raw := int64(0)
		for _, r := range a.originals {
			for _, v := range raws(r) {
				raw += 4 * int64(len(v))
			}
		}
		if err == nil && raw > a.opt.Memory {
			err = usage("the original's outputs for so many pictures do not fit into %d MiB: give --memory, or --limit", a.opt.Memory>>20)
		}
		return err
	}
	for item, err := range loader.All(ctx) {
		if err != nil {
			return nil, err
		}
		kept += size(item.Inputs)
		if block = append(block, item); len(block) == 4*a.gauge.workers() {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	return loader.Broken(), flush()
}

func raws(r *evaluation.Reading) [][]float32 {
	if r == nil {
		return nil
	}
	return r.Raw
}

// blocks calls f with all pictures and with what before makes of their inputs, as many at a time as fit into half of the memory.
func (a *analysing) blocks(ctx context.Context, before func(context.Context, inputs) (inputs, error), f func(block []*dataset.Item, values []inputs, at int) error) error {
	at, sum := 0, int64(0)
	var block []*dataset.Item
	var values []inputs
	flush := func() error {
		if len(block) == 0 {
			return nil
		}
		err := f(block, values, at)
		at += len(block)
		block, values, sum = nil, nil, 0
		return err
	}
	batch := []*dataset.Item{}
	run := func() error { // a few pictures at a time, until the block is full
		made := make([]inputs, len(batch))
		err := a.each(ctx, batch, func(ctx context.Context, k int, item *dataset.Item) (err error) {
			made[k], err = before(ctx, item.Inputs)
			return err
		})
		if err != nil {
			return err
		}
		for k, item := range batch {
			light := *item
			light.Inputs = nil
			block, values, sum = append(block, &light), append(values, made[k]), sum+size(made[k])
		}
		batch = batch[:0]
		if sum >= a.opt.Memory/2 {
			return flush()
		}
		return nil
	}
	for item, err := range a.all(ctx) {
		if err != nil {
			return err
		}
		if batch = append(batch, item); len(batch) == a.gauge.workers() {
			if err := run(); err != nil {
				return err
			}
		}
	}
	if err := run(); err != nil {
		return err
	}
	return flush()
}

// all yields the pictures that can be read, with their inputs.
func (a *analysing) all(ctx context.Context) func(yield func(*dataset.Item, error) bool) {
	if !a.items.kept {
		return a.gauge.loader(0).All(ctx)
	}
	return func(yield func(*dataset.Item, error) bool) {
		for _, i := range a.items.known {
			if !yield(i, nil) {
				return
			}
		}
	}
}
