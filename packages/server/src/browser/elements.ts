/** Elements made by the browser modules: text is always text, never markup. */

export function element(tag: string, className = "", text = ""): HTMLElement {
  const made = document.createElement(tag);
  if (className !== "") made.className = className;
  if (text !== "") made.textContent = text;
  return made;
}

export function textButton(className: string, text: string, press: () => void): HTMLButtonElement {
  const button = document.createElement("button");
  button.type = "button";
  button.className = className;
  button.textContent = text;
  button.addEventListener("click", press);
  return button;
}

/** A name on one line, in which control characters can be seen instead of acting. */
export const visible = (text: string): string =>
  text.replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, (mark) => {
    const short = JSON.stringify(mark).slice(1, -1);
    return short.length === 2 ? short : `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
