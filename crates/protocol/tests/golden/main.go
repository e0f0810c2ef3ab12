// Writes frames.txt: every message of messages.txt as the reference implementation encodes it, a line
// each: who says it, the JSON, and the Protobuf after its length in hexadecimal.
//
// Run it here with `go run . <messages.txt >frames.txt`.
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/centrifugal/protocol"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		from, text, _ := strings.Cut(lines.Text(), " ")
		inJSON, inProtobuf, err := encode(from, text)
		if err != nil {
			log.Fatalf("%s: %v", lines.Text(), err)
		}
		framed := protocol.NewProtobufDataEncoder()
		if err := framed.Encode(inProtobuf); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s %s\n", from, hex.EncodeToString(framed.Finish()), inJSON)
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}

func encode(from, text string) (inJSON, inProtobuf []byte, err error) {
	if from == "command" {
		command, err := protocol.NewJSONCommandDecoder([]byte(text)).Decode()
		if err != nil && err != io.EOF {
			return nil, nil, err
		}
		if inJSON, err = protocol.NewJSONCommandEncoder().Encode(command); err != nil {
			return nil, nil, err
		}
		inProtobuf, err = command.MarshalCF()
		return inJSON, inProtobuf, err
	}
	var reply protocol.Reply
	if err = json.Unmarshal([]byte(text), &reply); err != nil {
		return nil, nil, err
	}
	if inJSON, err = protocol.NewJSONReplyEncoder().Encode(&reply); err != nil {
		return nil, nil, err
	}
	inProtobuf, err = reply.MarshalCF()
	return inJSON, inProtobuf, err
}
