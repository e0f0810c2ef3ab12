// A server of the Centrifuge protocol on the Go library, set like crates/bench/src/realtime/pubsub.toml:
// HS256 connection tokens, every channel open to every client, those that begin with `kept:` with a
// history, and /api/publish for servers. `chatsdk-bench realtime --peer` starts it.
package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/centrifugal/centrifuge"
)

// user is whom the token was made for, if it is signed with the secret and has not ended.
func user(token string, secret []byte) (*centrifuge.Credentials, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, centrifuge.DisconnectInvalidToken
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(parts[0] + "." + parts[1]))
	signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	header, _ := base64.RawURLEncoding.DecodeString(parts[0])
	body, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var algorithm struct{ Alg string }
	var claims struct {
		Sub string
		Exp int64
	}
	if json.Unmarshal(header, &algorithm) != nil || algorithm.Alg != "HS256" ||
		!hmac.Equal(signature, mac.Sum(nil)) || json.Unmarshal(body, &claims) != nil {
		return nil, centrifuge.DisconnectInvalidToken
	}
	if claims.Exp <= time.Now().Unix() {
		return nil, centrifuge.ErrorTokenExpired
	}
	return &centrifuge.Credentials{UserID: claims.Sub, ExpireAt: claims.Exp}, nil
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8000", "where to listen")
	secret := flag.String("token-secret", "", "the key of connection tokens")
	key := flag.String("api-key", "", "what publishers send as X-API-Key")
	flag.Parse()

	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		log.Fatal(err)
	}
	node.OnConnecting(func(_ context.Context, event centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		credentials, err := user(event.Token, []byte(*secret))
		return centrifuge.ConnectReply{Credentials: credentials, ClientSideRefresh: true}, err
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(event centrifuge.SubscribeEvent, reply centrifuge.SubscribeCallback) {
			kept := strings.HasPrefix(event.Channel, "kept:")
			options := centrifuge.SubscribeOptions{EnableRecovery: kept, EnablePositioning: kept}
			reply(centrifuge.SubscribeReply{Options: options}, nil)
		})
	})
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}
	http.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{}))
	http.HandleFunc("/api/publish", func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			Channel string
			Data    json.RawMessage
		}
		if r.Header.Get("X-API-Key") != *key || json.NewDecoder(r.Body).Decode(&call) != nil {
			http.Error(w, "refused", http.StatusBadRequest)
			return
		}
		var options []centrifuge.PublishOption
		if strings.HasPrefix(call.Channel, "kept:") {
			options = append(options, centrifuge.WithHistory(100, 5*time.Minute))
		}
		if _, err := node.Publish(call.Channel, call.Data, options...); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, `{"result":{}}`)
	})
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
