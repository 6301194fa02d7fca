/** Imported before anything else: an emulated GPU that a test can fill. */
process.env.TURNWISE_EMULATION_MEMORY = String(48 << 20);
