# frozen_string_literal: true

# A token endpoint with nothing but Ruby's standard library: POST /api/chat/token.
#
# Needs CHATSDK_API_URL and CHATSDK_API_KEY; listens on PORT, by default 3000. The little server at the end
# stands for your framework: what matters is `chat_tokens`.
require 'json'
require 'net/http'
require 'socket'

# Stands for your own authentication.
def current_user(authorization)
  { id: 'user-1', name: 'Ann', role: 'admin' } if authorization == 'Bearer ann-session'
end

# Whatever mixed replies up on the way: nobody gets the tokens of somebody else.
def minted(text, user)
  tokens = JSON.parse(text)
  person = tokens['user'] if tokens.is_a?(Hash)
  return tokens if person.is_a?(Hash) && person['id'] == user[:id]

  warn 'ChatSDK answered with the tokens of somebody else'
  nil
end

# Asks ChatSDK for tokens, and answers its JSON as it is, or nil.
def chat_tokens(user)
  uri = URI("#{ENV.fetch('CHATSDK_API_URL')}/auth/tokens")
  request = Net::HTTP::Post.new(uri, 'X-API-Key' => ENV.fetch('CHATSDK_API_KEY'), 'Content-Type' => 'application/json')
  request.body = JSON.generate(userId: user[:id], name: user[:name], custom: { role: user[:role] })
  options = { use_ssl: uri.scheme == 'https', open_timeout: 4, read_timeout: 4 }
  reply = Net::HTTP.start(uri.host, uri.port, **options) { |http| http.request(request) }
  return minted(reply.body, user) if reply.is_a?(Net::HTTPOK)

  warn "ChatSDK answered #{reply.code}: #{reply.body}"
  nil
rescue SystemCallError, SocketError, Timeout::Error, IOError, JSON::ParserError, OpenSSL::SSL::SSLError,
       Net::HTTPBadResponse, Net::HTTPHeaderSyntaxError, Net::ProtocolError => e
  warn "ChatSDK cannot be reached: #{e.class}"
  nil
end

def answer(path, authorization)
  return [404, { error: 'Not found' }] unless path == ['POST', '/api/chat/token']

  user = current_user(authorization)
  return [401, { error: 'Unauthorized' }] if user.nil?

  tokens = chat_tokens(user)
  # Never ChatSDK's own 401: that one is about your API key, and would sign your user out.
  tokens.nil? ? [503, { error: 'Chat is not available' }] : [200, tokens]
end

REASONS = { 200 => 'OK', 401 => 'Unauthorized', 404 => 'Not Found', 503 => 'Service Unavailable' }.freeze

def serve(socket)
  path = socket.gets.to_s.split.first(2)
  headers = {}
  while (line = socket.gets&.chomp) && !line.empty?
    name, value = line.split(':', 2)
    headers[name.downcase] = value.to_s.strip
  end
  status, body = answer(path, headers['authorization'])
  text = JSON.generate(body)
  socket.write("HTTP/1.1 #{status} #{REASONS[status]}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n" \
               "#{"Retry-After: 1\r\n" if status == 503}Content-Length: #{text.bytesize}\r\nConnection: close\r\n\r\n#{text}")
ensure
  socket.close
end

server = TCPServer.new('127.0.0.1', Integer(ENV.fetch('PORT', '3000')))
$stdout.puts "http://127.0.0.1:#{server.addr[1]}"
$stdout.flush
loop { Thread.new(server.accept) { |socket| serve(socket) } }
