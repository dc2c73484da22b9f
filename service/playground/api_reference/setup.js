// Starts Swagger UI on the description of the interface. Its dark theme follows the browser.
// @ts-nocheck: Swagger UI is a classic script that defines a global.

document.documentElement.classList.toggle(
  "dark-mode",
  matchMedia("(prefers-color-scheme: dark)").matches,
);

const schema = await (await fetch("openapi.json")).json();

window.SwaggerUIBundle({
  spec: schema,
  dom_id: "#reference",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
