package ops
import ("testing";"fmt";"time";"onnxprune/runtime/onnxruntime";"onnxprune/runtime/value")
func TestZZ(t *testing.T){
 path,_:=onnxruntime.Find(); lib,_:=onnxruntime.Open(path)
 for _,c:=range movingBenchmarks {
  s, err := lib.NewSessionFromBytes(c.model(), onnxruntime.Options{Threads: 1})
  if err!=nil { fmt.Println(c.name,err); continue }
  tt := c.in[0].(*value.Tensor)
  x := &onnxruntime.Tensor{Type: int32(tt.Type), Data: tt.Raw()}
  for _, d := range tt.Shape { x.Shape = append(x.Shape, int64(d)) }
  best:=time.Hour
  for range 30 { st:=time.Now(); s.Run(map[string]*onnxruntime.Tensor{"x0":x},nil); best=min(best,time.Since(st)) }
  mine:=time.Hour
  for range 30 { st:=time.Now(); c.run(nil); mine=min(mine,time.Since(st)) }
  fmt.Printf("%-18s ort(with copies) %8v  mine %8v\n", c.name, best.Round(time.Microsecond), mine.Round(time.Microsecond))
 }
}
