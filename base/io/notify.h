#pragma once
/*
 * Notify: tells the service manager how we are (sd_notify(3): datagrams to $NOTIFY_SOCKET, path or
 * abstract). Without a manager they do nothing. Never blocks, any thread.
 */
void notify_ready(void);
void notify_stopping(void);
void notify_status(const char *text); /* one line */
void notify_watchdog(void);
/* Children must not talk to our manager in our name: forgets the socket and the variable. Call it
 * after notify_init, before threads start. */
void notify_init(void);
