package wire

func (p Protocol) DecodeUpstream(frame []byte) (Upstream, error) { return nil, errProtocol }

func (p Protocol) AppendUpstream(dst []byte, u Upstream) ([]byte, error) { return dst, errProtocol }

func (p Protocol) AppendDownstream(dst []byte, d Downstream) ([]byte, error) { return dst, errProtocol }

func (p Protocol) DecodeDownstream(frame []byte) (Downstream, error) { return nil, errProtocol }

func (p Protocol) EncodeData(d Data) (Encoded, error) { return Encoded{}, errProtocol }
