package preprocess

func fromSidecar(path string) (said, error) { return said{}, nil }
