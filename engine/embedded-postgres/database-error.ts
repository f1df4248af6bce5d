/** A database that cannot be had or used: one sentence for people, which says what to do. Never holds a secret. */
export class DatabaseError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "DatabaseError";
  }
}
