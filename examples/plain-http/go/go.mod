module chatsdk.example/plain-http

go 1.19
