// The C interface of ONNX Runtime is one exported function, OrtGetApiBase, that leads to a table of function
// addresses, OrtApi. Members are only ever appended to that table, so an index once right stays right. The
// indices are counted in onnxruntime_c_api.h; its sources assert that ReleaseCustomOpDomain is 101,
// ReleaseModelMetadata 118, AddFreeDimensionOverrideByName 124 and SetGlobalSpinControl 149.

package onnxruntime

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unsafe"
)

// apiVersion is the version of the table that is asked for; every later library still serves it.
const apiVersion = 17

// tableSize reaches to the last member used.
const tableSize = 274

// A handle is the address of an object that ONNX Runtime owns. Zero is none.
type handle uintptr

// apiBase mirrors OrtApiBase.
type apiBase struct {
	getAPI           uintptr // const OrtApi* (uint32_t version)
	getVersionString uintptr // const char* (void)
}

// api holds the functions in use. Those that return a handle return an OrtStatus, zero for success.
type api struct {
	getErrorCode    func(status handle) int32
	getErrorMessage func(status handle) string
	releaseStatus   func(status handle)

	createEnv                      func(level int32, logID string, out *handle) handle
	releaseEnv                     func(env handle)
	getAllocatorWithDefaultOptions func(out *handle) handle
	allocatorFree                  func(allocator handle, p unsafe.Pointer) handle

	createSessionOptions             func(out *handle) handle
	setSessionGraphOptimizationLevel func(options handle, level int32) handle
	setIntraOpNumThreads             func(options handle, threads int32) handle
	setDeterministicCompute          func(options handle, on bool) handle
	addSessionConfigEntry            func(options handle, key, value string) handle
	releaseSessionOptions            func(options handle)

	createSession            func(env handle, path string, options handle, out *handle) handle
	createSessionFromArray   func(env handle, model *byte, size uintptr, options handle, out *handle) handle
	sessionGetInputCount     func(session handle, out *uintptr) handle
	sessionGetOutputCount    func(session handle, out *uintptr) handle
	sessionGetInputName      func(session handle, i uintptr, allocator handle, out *unsafe.Pointer) handle
	sessionGetOutputName     func(session handle, i uintptr, allocator handle, out *unsafe.Pointer) handle
	sessionGetInputTypeInfo  func(session handle, i uintptr, out *handle) handle
	sessionGetOutputTypeInfo func(session handle, i uintptr, out *handle) handle
	run                      func(session, options handle, inputNames **byte, inputs *handle, inputCount uintptr, outputNames **byte, outputCount uintptr, outputs *handle) handle
	releaseSession           func(session handle)

	getOnnxTypeFromTypeInfo        func(info handle, out *int32) handle
	castTypeInfoToTensorInfo       func(info handle, out *handle) handle
	castTypeInfoToSequenceTypeInfo func(info handle, out *handle) handle
	getSequenceElementType         func(sequence handle, out *handle) handle
	castTypeInfoToOptionalTypeInfo func(info handle, out *handle) handle
	getOptionalContainedTypeInfo   func(optional handle, out *handle) handle
	releaseTypeInfo                func(info handle)

	getTensorElementType          func(info handle, out *int32) handle
	getDimensionsCount            func(info handle, out *uintptr) handle
	getDimensions                 func(info handle, out *int64, count uintptr) handle
	getSymbolicDimensions         func(info handle, out *unsafe.Pointer, count uintptr) handle
	releaseTensorTypeAndShapeInfo func(info handle)

	createTensorAsOrtValue              func(allocator handle, shape *int64, rank uintptr, elemType int32, out *handle) handle
	createValue                         func(elements *handle, count uintptr, kind int32, out *handle) handle
	getResizedStringTensorElementBuffer func(value handle, i, size uintptr, out *unsafe.Pointer) handle
	hasValue                            func(value handle, out *int32) handle
	getValueType                        func(value handle, out *int32) handle
	getTensorTypeAndShape               func(value handle, out *handle) handle
	getTensorMutableData                func(value handle, out *unsafe.Pointer) handle
	getStringTensorDataLength           func(value handle, out *uintptr) handle
	getStringTensorContent              func(value handle, text *byte, size uintptr, offsets *uintptr, count uintptr) handle
	getValueCount                       func(value handle, out *uintptr) handle
	getValue                            func(value handle, i int32, allocator handle, out *handle) handle
	releaseValue                        func(value handle)
}

// A member is a place in OrtApi and the Go function to be bound to it.
type member struct {
	index int
	name  string
	fn    any
}

func (a *api) members() []member {
	return []member{
		{1, "GetErrorCode", &a.getErrorCode},
		{2, "GetErrorMessage", &a.getErrorMessage},
		{3, "CreateEnv", &a.createEnv},
		{7, "CreateSession", &a.createSession},
		{8, "CreateSessionFromArray", &a.createSessionFromArray},
		{9, "Run", &a.run},
		{10, "CreateSessionOptions", &a.createSessionOptions},
		{23, "SetSessionGraphOptimizationLevel", &a.setSessionGraphOptimizationLevel},
		{24, "SetIntraOpNumThreads", &a.setIntraOpNumThreads},
		{30, "SessionGetInputCount", &a.sessionGetInputCount},
		{31, "SessionGetOutputCount", &a.sessionGetOutputCount},
		{33, "SessionGetInputTypeInfo", &a.sessionGetInputTypeInfo},
		{34, "SessionGetOutputTypeInfo", &a.sessionGetOutputTypeInfo},
		{36, "SessionGetInputName", &a.sessionGetInputName},
		{37, "SessionGetOutputName", &a.sessionGetOutputName},
		{48, "CreateTensorAsOrtValue", &a.createTensorAsOrtValue},
		{51, "GetTensorMutableData", &a.getTensorMutableData},
		{53, "GetStringTensorDataLength", &a.getStringTensorDataLength},
		{54, "GetStringTensorContent", &a.getStringTensorContent},
		{55, "CastTypeInfoToTensorInfo", &a.castTypeInfoToTensorInfo},
		{56, "GetOnnxTypeFromTypeInfo", &a.getOnnxTypeFromTypeInfo},
		{60, "GetTensorElementType", &a.getTensorElementType},
		{61, "GetDimensionsCount", &a.getDimensionsCount},
		{62, "GetDimensions", &a.getDimensions},
		{63, "GetSymbolicDimensions", &a.getSymbolicDimensions},
		{65, "GetTensorTypeAndShape", &a.getTensorTypeAndShape},
		{67, "GetValueType", &a.getValueType},
		{76, "AllocatorFree", &a.allocatorFree},
		{78, "GetAllocatorWithDefaultOptions", &a.getAllocatorWithDefaultOptions},
		{80, "GetValue", &a.getValue},
		{81, "GetValueCount", &a.getValueCount},
		{82, "CreateValue", &a.createValue},
		{92, "ReleaseEnv", &a.releaseEnv},
		{93, "ReleaseStatus", &a.releaseStatus},
		{95, "ReleaseSession", &a.releaseSession},
		{96, "ReleaseValue", &a.releaseValue},
		{98, "ReleaseTypeInfo", &a.releaseTypeInfo},
		{99, "ReleaseTensorTypeAndShapeInfo", &a.releaseTensorTypeAndShapeInfo},
		{100, "ReleaseSessionOptions", &a.releaseSessionOptions},
		{104, "CastTypeInfoToSequenceTypeInfo", &a.castTypeInfoToSequenceTypeInfo},
		{107, "GetSequenceElementType", &a.getSequenceElementType},
		{130, "AddSessionConfigEntry", &a.addSessionConfigEntry},
		{192, "HasValue", &a.hasValue},
		{250, "CastTypeInfoToOptionalTypeInfo", &a.castTypeInfoToOptionalTypeInfo},
		{251, "GetOptionalContainedTypeInfo", &a.getOptionalContainedTypeInfo},
		{252, "GetResizedStringTensorElementBuffer", &a.getResizedStringTensorElementBuffer},
		{273, "SetDeterministicCompute", &a.setDeterministicCompute},
	}
}

// bind asks the library for its table and binds the members in use.
func bind(base *apiBase) (*api, string, error) {
	var versionString func() string
	var getAPI func(version uint32) *[tableSize]uintptr
	if err := register(&versionString, base.getVersionString); err != nil {
		return nil, "", fmt.Errorf("GetVersionString: %w", err)
	}
	if err := register(&getAPI, base.getAPI); err != nil {
		return nil, "", fmt.Errorf("GetApi: %w", err)
	}
	version := versionString()
	table := getAPI(apiVersion)
	if table == nil {
		return nil, "", fmt.Errorf("onnxruntime %s does not serve version %d of its interface: 1.%d or newer is needed", version, apiVersion, apiVersion)
	}
	a := &api{}
	for _, m := range a.members() {
		if err := register(m.fn, table[m.index]); err != nil {
			return nil, "", fmt.Errorf("member %d, %s: %w", m.index, m.name, err)
		}
	}
	return a, version, nil
}

// check turns a status into an error and gives the status back.
func (a *api) check(doing string, status handle) error {
	if status == 0 {
		return nil
	}
	defer a.releaseStatus(status)
	return &Error{Doing: doing, Code: Code(a.getErrorCode(status)), Message: a.getErrorMessage(status)}
}

// cStrings makes an array of C strings, pinned until p.Unpin.
func cStrings(p *runtime.Pinner, names []string) ([]*byte, error) {
	list := make([]*byte, len(names))
	for i, name := range names {
		if strings.IndexByte(name, 0) >= 0 {
			return nil, fmt.Errorf("name %q holds a zero byte", name)
		}
		list[i] = unsafe.SliceData(append([]byte(name), 0))
		p.Pin(list[i])
	}
	if len(list) > 0 {
		p.Pin(&list[0])
	}
	return list, nil
}

// goString copies a C string.
func goString(p unsafe.Pointer) string {
	if p == nil {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(p), n))
}

var errNoAddress = errors.New("the library gives no address")
