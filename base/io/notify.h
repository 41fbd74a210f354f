#pragma once
/*
 * Notify: tells the service manager how we are (sd_notify(3): datagrams to $NOTIFY_SOCKET, path or
 * abstract). Without a manager, or before notify_init, they do nothing. Never blocks, any thread.
 */

/* Takes the variable out of the environment, so that no child talks to our manager in our name.
 * Call it in main, before threads start. */
void notify_init(void);

void notify_ready(void);
void notify_stopping(void);
void notify_status(const char *text); /* one line, at most 500 bytes */
void notify_watchdog(void);
