/** The name under which a browser saves what it is sent. */

/** Windows refuses these in names; the others break the header or a path. */
const unusable = /["*/:<>?\\|\p{Cc}\u2028\u2029]/gu;
const maxNameChars = 180;

/**
 * The `Content-Disposition` of a file to be saved (RFC 6266, with RFC 8187 for what is not ASCII). No name can end the
 * header, name a folder, or reach another one.
 */
export function attachment(name: string): string {
  const saved =
    cutName(name.toWellFormed().replace(unusable, "_").replace(/^\.+$/, "_").trim()) || "download";
  const ascii = saved.replace(/[^\x20-\x7e]/g, "_");
  const plain = `attachment; filename="${ascii}"`;
  return ascii === saved && !saved.includes("%") ? plain : `${plain}; filename*=UTF-8''${encoded(saved)}`;
}

/** Too long for a file system, it keeps its ending. */
function cutName(name: string): string {
  if (name.length <= maxNameChars) return name;
  const ending = /\.[\w.]{1,16}$/.exec(name)?.[0] ?? "";
  return `${name.slice(0, maxNameChars - ending.length)}${ending}`.toWellFormed().replaceAll("\ufffd", "_");
}

/** `encodeURIComponent` leaves some characters that the header does not allow. */
const encoded = (text: string): string =>
  encodeURIComponent(text).replace(/['()*!]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
