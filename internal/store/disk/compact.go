package disk

func (s *Store) compact() {}
