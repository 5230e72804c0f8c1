/** Opens a WebSocket with a header. Node's own is taken and no library's, because it goes through HTTPS_PROXY. */

/** The standard's constructor takes no headers; that of Node (undici) does. */
const WebSocketWithHeaders = WebSocket as unknown as new (
  url: string,
  options: { headers: Readonly<Record<string, string>> },
) => WebSocket;

export const openSocket = (to: { url: string; headers: Readonly<Record<string, string>> }): WebSocket =>
  new WebSocketWithHeaders(to.url, { headers: to.headers });
