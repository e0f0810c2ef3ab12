// A token endpoint with nothing but net/http: POST /api/chat/token.
//
// Needs CHATSDK_API_URL and CHATSDK_API_KEY; listens on ADDR, by default 127.0.0.1:3000.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

// user is somebody of yours.
type user struct{ ID, Name, Role string }

// currentUser stands for your own authentication.
func currentUser(r *http.Request) (user, bool) {
	if r.Header.Get("Authorization") != "Bearer ann-session" {
		return user{}, false
	}
	return user{"user-1", "Ann", "admin"}, true
}

var client = &http.Client{
	Timeout: 8 * time.Second,
	// A redirect would carry the API key to wherever it points.
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

var errUnavailable = errors.New("ChatSDK did not answer with tokens")

// chatTokens asks ChatSDK for tokens, and answers its JSON as it is.
func chatTokens(r *http.Request, u user) (json.RawMessage, error) {
	body, err := json.Marshal(map[string]any{
		"userId": u.ID,
		"name":   u.Name,
		"custom": map[string]string{"role": u.Role},
	})
	if err != nil {
		return nil, err
	}
	url := os.Getenv("CHATSDK_API_URL") + "/auth/tokens"
	request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("X-API-Key", os.Getenv("CHATSDK_API_KEY"))
	request.Header.Set("Content-Type", "application/json")
	reply, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(io.LimitReader(reply.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if reply.StatusCode != http.StatusOK || !json.Valid(text) {
		var problem struct{ Code, Detail, RequestID string }
		_ = json.Unmarshal(text, &problem)
		return nil, fmt.Errorf("%w: %d %s %s (request %s)",
			errUnavailable, reply.StatusCode, problem.Code, problem.Detail, problem.RequestID)
	}
	// Whatever mixed replies up on the way: nobody gets the tokens of somebody else.
	var minted struct{ User struct{ ID string } }
	if err := json.Unmarshal(text, &minted); err != nil || minted.User.ID != u.ID {
		return nil, fmt.Errorf("%w: the reply is of somebody else", errUnavailable)
	}
	return text, nil
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func chatToken(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		answer(w, http.StatusMethodNotAllowed, map[string]string{"error": "Use POST"})
		return
	}
	u, known := currentUser(r)
	if !known {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "Unauthorized"})
		return
	}
	tokens, err := chatTokens(r, u)
	if err != nil {
		// Never ChatSDK's own 401: that one is about your API key, and would sign your user out.
		log.Print(err)
		w.Header().Set("Retry-After", "1")
		answer(w, http.StatusServiceUnavailable, map[string]string{"error": "Chat is not available"})
		return
	}
	answer(w, http.StatusOK, tokens)
}

func main() {
	address := os.Getenv("ADDR")
	if address == "" {
		address = "127.0.0.1:3000"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/api/chat/token", chatToken)
	fmt.Printf("http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
