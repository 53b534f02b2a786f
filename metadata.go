package onnxprune

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"onnxprune/analysis/plan"
	"onnxprune/onnxio"
)

// The entries of metadata_props that a prune leaves in its output: which tool made the file, from what, and what it saved. They hold
// no times and no paths, so that the same prune gives the same bytes. docs/metadata.md describes them.
const (
	metaPrefix       = "onnxprune."
	MetaVersion      = metaPrefix + "version"       // of the tool
	MetaSource       = metaPrefix + "source_sha256" // of the model file that was pruned
	MetaPlan         = metaPrefix + "plan_sha256"   // of the plan: see plan.Plan.SHA256
	MetaMACsBefore   = metaPrefix + "macs_before"
	MetaMACsAfter    = metaPrefix + "macs_after"
	MetaParamsBefore = metaPrefix + "params_before"
	MetaParamsAfter  = metaPrefix + "params_after"
	MetaEarlier      = metaPrefix + "earlier" // the prunes before this one, oldest first, as source:plan, separated by spaces
)

// describe puts the entries into a pruned model, in place of those of an earlier prune, which become part of the chain.
func describe(pruned *onnxio.Model, source string, p *plan.Plan, before, after Cost) {
	earlier := strings.Fields(pruned.Metadata(MetaEarlier))
	if s := pruned.Metadata(MetaSource); s != "" {
		earlier = append(earlier, s+":"+pruned.Metadata(MetaPlan))
	}
	pruned.RemoveMetadata(metaPrefix)
	for _, e := range []struct{ key, value string }{
		{MetaVersion, Version},
		{MetaSource, source},
		{MetaPlan, p.SHA256()},
		{MetaMACsBefore, strconv.FormatInt(before.MACs, 10)},
		{MetaMACsAfter, strconv.FormatInt(after.MACs, 10)},
		{MetaParamsBefore, strconv.FormatInt(before.Params, 10)},
		{MetaParamsAfter, strconv.FormatInt(after.Params, 10)},
	} {
		pruned.SetMetadata(e.key, e.value)
	}
	if len(earlier) > 0 {
		pruned.SetMetadata(MetaEarlier, strings.Join(earlier, " "))
	}
}

// metadata says in the model itself where it comes from. A model in which nothing changed stays as it is.
func (p *pruning) metadata() {
	size := p.pruned.Size()
	switch {
	case p.unchanged() || p.opt.DryRun:
		return
	case p.opt.NoMetadata:
		p.pruned.RemoveMetadata(metaPrefix) // what an earlier prune left is not true of this one
	default:
		describe(p.pruned, p.hash(), p.plan, p.report.Before, p.report.After)
	}
	p.report.After.FileBytes += p.pruned.Size() - size
}

// origin says where a file's entries contradict the original and the plan that it is verified against; nil where they agree, or where
// there are none.
func origin(original, pruned *onnxio.Model, p *plan.Plan) []string {
	var out []string
	if s := pruned.Metadata(MetaSource); s != "" && s != original.SHA256() {
		out = append(out, fmt.Sprintf("%s says that it was made from another file than %s (SHA-256 %.12s…, not %.12s…)",
			pruned.Path, original.Path, s, original.SHA256()))
	}
	if s := pruned.Metadata(MetaPlan); s != "" && s != p.SHA256() {
		out = append(out, fmt.Sprintf("%s says that it was made by another plan than the one that is given", pruned.Path))
	}
	return out
}

// replaceable refuses an output in whose place a model stands that this tool did not write: with IN and OUT exchanged, that is the user's
// original. A copy of the input, whose hash is given, may go, and so may what is no ONNX model.
func replaceable(in *onnxio.Model, hash func() string, out string) error {
	old := modelAt(out)
	if old == nil {
		return nil
	}
	defer old.Close()
	if made := in.Metadata(MetaSource) + " " + in.Metadata(MetaEarlier); made != " " && strings.Contains(made, old.SHA256()) {
		return usage("%s: it is the model that %s was made from; are IN and OUT exchanged? --force replaces it", out, in.Path)
	}
	if old.Metadata(MetaVersion) != "" || old.Size() == in.Size() && old.SHA256() == hash() {
		return nil
	}
	return usage("%s: it is a model that onnxprune did not write; are IN and OUT exchanged? --force replaces it", out)
}

// noModel refuses a file of another kind that would take the place of a model.
func noModel(out, what string) error {
	old := modelAt(out)
	if old == nil {
		return nil
	}
	old.Close()
	return usage("%s: it is an ONNX model, and %s would take its place; choose another name, or --force replaces it", out, what)
}

// modelAt opens the model that a file holds; nil where there is no file, or it holds something else.
func modelAt(path string) *onnxio.Model {
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return nil
	}
	m, err := onnxio.Open(path)
	if err != nil {
		return nil
	}
	return m
}
