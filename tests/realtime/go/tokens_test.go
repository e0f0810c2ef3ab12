package realtime

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"
)

// token is one with these claims under the profiles' secret, valid for a while.
func token(t *testing.T, lasts time.Duration, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"exp": time.Now().Add(lasts).Unix()}
	for name, value := range claims {
		all[name] = value
	}
	body, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	spell := base64.RawURLEncoding.EncodeToString
	signed := spell([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + spell(body)
	mac := hmac.New(sha256.New, []byte("secret"))
	mac.Write([]byte(signed))
	return signed + "." + spell(mac.Sum(nil))
}

// call calls the server API.
func call(t *testing.T, address, method string, body any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPost, "http://"+address+"/api/"+method, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-API-Key", "test-api-key")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Result json.RawMessage `json:"result"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Result == nil {
		t.Fatalf("%s: %v", method, err)
	}
}

// person is somebody with a client.
type person struct {
	client       *centrifuge.Client
	connected    chan centrifuge.ConnectedEvent
	connecting   chan centrifuge.ConnectingEvent
	disconnected chan centrifuge.DisconnectedEvent
	subscribed   chan centrifuge.ServerSubscribedEvent
	unsubscribed chan centrifuge.ServerUnsubscribedEvent
	said         chan centrifuge.ServerPublicationEvent
}

func connect(t *testing.T, address, encoding string, config centrifuge.Config) person {
	t.Helper()
	config.MinReconnectDelay = 10 * time.Millisecond
	it := person{
		client:       clients[encoding]("ws://"+address+"/connection/websocket", config),
		connected:    make(chan centrifuge.ConnectedEvent, 10),
		connecting:   make(chan centrifuge.ConnectingEvent, 10),
		disconnected: make(chan centrifuge.DisconnectedEvent, 10),
		subscribed:   make(chan centrifuge.ServerSubscribedEvent, 10),
		unsubscribed: make(chan centrifuge.ServerUnsubscribedEvent, 10),
		said:         make(chan centrifuge.ServerPublicationEvent, 100),
	}
	t.Cleanup(it.client.Close)
	it.client.OnConnected(func(event centrifuge.ConnectedEvent) { it.connected <- event })
	it.client.OnConnecting(func(event centrifuge.ConnectingEvent) { it.connecting <- event })
	it.client.OnDisconnected(func(event centrifuge.DisconnectedEvent) { it.disconnected <- event })
	it.client.OnSubscribed(func(event centrifuge.ServerSubscribedEvent) { it.subscribed <- event })
	it.client.OnUnsubscribed(func(event centrifuge.ServerUnsubscribedEvent) { it.unsubscribed <- event })
	it.client.OnPublication(func(event centrifuge.ServerPublicationEvent) { it.said <- event })
	if err := it.client.Connect(); err != nil {
		t.Fatal(err)
	}
	// The first attempt is an event as well; later ones are losses.
	await(t, it.connecting)
	return it
}

// nothing fails the test if something came.
func nothing[T any](t *testing.T, events <-chan T) {
	t.Helper()
	select {
	case event := <-events:
		t.Fatalf("unexpected: %+v", event)
	default:
	}
}

// eachEncoding runs a test with tokens in each encoding.
func eachEncoding(t *testing.T, run func(t *testing.T, address, encoding string)) {
	address := startWith(t, "python")
	for encoding := range clients {
		t.Run(encoding, func(t *testing.T) { run(t, address, encoding) })
	}
}

func TestWhoIsThere(t *testing.T) {
	eachEncoding(t, func(t *testing.T, address, encoding string) {
		channel := "there_" + encoding
		var watching *centrifuge.Subscription
		for _, user := range []string{"ann", "bob"} {
			somebody := connect(t, address, encoding, centrifuge.Config{
				Token: token(t, time.Minute, map[string]any{"sub": user, "info": map[string]string{"name": user}}),
			})
			heard := listen(t, somebody.client, channel, centrifuge.SubscriptionConfig{
				Token: token(t, time.Minute, map[string]any{"sub": user, "channel": channel, "info": "guest"}),
			})
			await(t, heard.subscribed)
			watching = heard.subscription
		}
		there, err := watching.Presence(context.Background())
		if err != nil || len(there.Clients) != 2 {
			t.Fatalf("%+v, %v", there, err)
		}
		for id, info := range there.Clients {
			name := `{"name":"` + info.User + `"}`
			if info.Client != id || string(info.ConnInfo) != name || string(info.ChanInfo) != `"guest"` {
				t.Fatalf("%+v", info)
			}
		}
		stats, err := watching.PresenceStats(context.Background())
		if err != nil || stats.NumClients != 2 || stats.NumUsers != 2 {
			t.Fatalf("%+v, %v", stats, err)
		}
	})
}

func TestServerSideSubscriptionsAreKeptAcrossACut(t *testing.T) {
	eachEncoding(t, func(t *testing.T, address, encoding string) {
		between := newRelay(t, address)
		user := "cleo_" + encoding
		cleo := connect(t, between.address, encoding, centrifuge.Config{
			Token: token(t, time.Minute, map[string]any{"sub": user}),
		})
		own := "#" + user
		if event := await(t, cleo.subscribed); event.Channel != own || !event.Recoverable {
			t.Fatalf("%+v", event)
		}
		hears := func(channel, data string) {
			t.Helper()
			if event := await(t, cleo.said); event.Channel != channel || string(event.Data) != data {
				t.Fatalf("%+v", event)
			}
		}
		call(t, address, "publish", map[string]any{"channel": own, "data": "psst"})
		hears(own, `"psst"`)
		between.cut()
		await(t, cleo.connecting)
		call(t, address, "publish", map[string]any{"channel": own, "data": "missed"})
		between.mend()
		if event := await(t, cleo.subscribed); !event.WasRecovering || !event.Recovered {
			t.Fatalf("%+v", event)
		}
		hears(own, `"missed"`)
		room := "room_" + encoding
		call(t, address, "subscribe", map[string]any{"user": user, "channel": room})
		if event := await(t, cleo.subscribed); event.Channel != room {
			t.Fatalf("%+v", event)
		}
		call(t, address, "publish", map[string]any{"channel": room, "data": 1})
		hears(room, "1")
		call(t, address, "unsubscribe", map[string]any{"user": user, "channel": room})
		if event := await(t, cleo.unsubscribed); event.Channel != room {
			t.Fatalf("%+v", event)
		}
	})
}

// shortLived makes tokens of two seconds. A client asks for the next one only when the server has taken the last
// and said how long that lasts: whoever is asked again knows that what was given before was taken.
func shortLived(t *testing.T, claims map[string]any) (next func() string, asked chan struct{}) {
	asked = make(chan struct{}, 100)
	return func() string {
		asked <- struct{}{}
		return token(t, 2*time.Second, claims)
	}, asked
}

func TestAConnectionThatRefreshesOutlivesItsTokens(t *testing.T) {
	eachEncoding(t, func(t *testing.T, address, encoding string) {
		next, asked := shortLived(t, map[string]any{"sub": "ann"})
		ann := connect(t, address, encoding, centrifuge.Config{
			GetToken: func(centrifuge.ConnectionTokenEvent) (string, error) { return next(), nil },
		})
		for range 3 {
			await(t, asked)
		}
		nothing(t, ann.connecting)
		nothing(t, ann.disconnected)
	})
}

func TestASubscriptionThatRefreshesOutlivesItsTokens(t *testing.T) {
	eachEncoding(t, func(t *testing.T, address, encoding string) {
		channel := "$short_" + encoding
		next, asked := shortLived(t, map[string]any{"sub": "ann", "channel": channel})
		ann := connect(t, address, encoding, centrifuge.Config{
			Token: token(t, time.Minute, map[string]any{"sub": "ann"}),
		})
		heard := listen(t, ann.client, channel, centrifuge.SubscriptionConfig{
			GetToken: func(centrifuge.SubscriptionTokenEvent) (string, error) { return next(), nil },
		})
		await(t, heard.subscribed)
		for range 3 {
			await(t, asked)
		}
		call(t, address, "publish", map[string]any{"channel": channel, "data": "still here"})
		if event := await(t, heard.said); string(event.Data) != `"still here"` {
			t.Fatalf("%+v", event)
		}
		nothing(t, heard.subscribed)
		nothing(t, ann.disconnected)
	})
}

func TestTokensThatAreNoGoodEndWhatTheyWereFor(t *testing.T) {
	eachEncoding(t, func(t *testing.T, address, encoding string) {
		stranger := connect(t, address, encoding, centrifuge.Config{Token: "bad"})
		if event := await(t, stranger.disconnected); event.Code != 3500 {
			t.Fatalf("%+v", event)
		}
		refreshing := connect(t, address, encoding, centrifuge.Config{
			Token:    token(t, 2*time.Second, map[string]any{"sub": "ann"}),
			GetToken: func(centrifuge.ConnectionTokenEvent) (string, error) { return "garbage", nil },
		})
		if event := await(t, refreshing.disconnected); event.Code != 3500 {
			t.Fatalf("%+v", event)
		}
		ann := connect(t, address, encoding, centrifuge.Config{
			Token: token(t, time.Minute, map[string]any{"sub": "ann"}),
		})
		subscription, err := ann.client.NewSubscription("any", centrifuge.SubscriptionConfig{Token: "bad"})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan centrifuge.UnsubscribedEvent, 1)
		subscription.OnUnsubscribed(func(event centrifuge.UnsubscribedEvent) { ended <- event })
		if err := subscription.Subscribe(); err != nil {
			t.Fatal(err)
		}
		if event := await(t, ended); event.Code != 103 {
			t.Fatalf("%+v", event)
		}
	})
}
