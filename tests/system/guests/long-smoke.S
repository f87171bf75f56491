.include "long.inc"
main:
    TEST "checks"
    movl $5, %eax
    CHECK %rax, $5
    CHECKL %eax, $5
    TEST "invalid opcode"
    FAULT 6, NO_ERROR, ud2
    TEST "page fault"
    FAULT 14, 0, movl 0x50000000, %eax
    CHECK fault_cr2, $0x50000000
    TEST "user"
    USER_FAULT 13, 0, user_hlt, user_hlt
    CHECK fault_cs, $USER_CODE64
    THE_END
user_hlt:
    hlt
