# Accesses over page ends, faults in the middle of instructions, restart of string instructions.
.include "long.inc"

.macro MAP index, flags
    movq $TEST_FRAMES+\index*0x1000+\flags, PT_TEST+\index*8
    invlpg TEST_PAGES+\index*0x1000
.endm
.macro UNMAP index
    movq $0, PT_TEST+\index*8
    invlpg TEST_PAGES+\index*0x1000
.endm
.set END, TEST_PAGES+0x1000   # the end of page 0, page 1 is missing
.set FRAME_END, TEST_FRAMES+0x1000

main:
    # Stack pointers are made bad on purpose.
    DEFAULT_GATE 14, 0x8e, 1
    MAP 0, 7
    UNMAP 1
    TEST "reads over the page's end"
    FAULT 14, 0, movl END-2, %eax
    CHECK fault_cr2, $END
    FAULT 14, 0, movq END-1, %rax
    CHECK fault_cr2, $END
    FAULT 14, 0, movups END-15, %xmm0
    CHECK fault_cr2, $END
    PASS movups END-16, %xmm0
    TEST "writes over the page's end write nothing"
    movq $0, FRAME_END-8
    movq $-1, %rax
    FAULT 14, 2, movq %rax, END-4
    CHECK fault_cr2, $END
    CHECK FRAME_END-8, $0
    FAULT 14, 2, movups %xmm0, END-8
    CHECK fault_cr2, $END
    TEST "the first page's fault comes first"
    UNMAP 0
    FAULT 14, 0, movl END-2, %eax
    CHECK fault_cr2, $END-2
    FAULT 14, 2, movl %eax, END-2
    CHECK fault_cr2, $END-2
    MAP 0, 7
    TEST "modifying over the page's end"
    FAULT 14, 2, addl $1, END-2
    CHECK fault_cr2, $END
    MAP 1, 5
    FAULT 14, 3, lock addl $1, END-2
    CHECK fault_cr2, $END
    CHECK FRAME_END-8, $0
    MAP 1, 7
    movq $-1, FRAME_END-8
    movq $0, FRAME_END
    PASS addl $1, END-2
    CHECKL FRAME_END-4, $0x0000ffff
    CHECKL FRAME_END, $1
    TEST "PUSH leaves RSP on a fault"
    UNMAP 1
    movq $END+8, %rcx
    movq %rsp, %rbx
    EXPECT_RESUME 1f
    movq %rcx, %rsp
    pushq %rax
1:  CHECKL fault_vector, $14
    CHECKL fault_error, $2
    CHECK fault_rsp, $END+8
    TEST "POP to a missing page leaves RSP"
    pushq $77
    movq %rsp, %rbx
    FAULT 14, 2, popq END
    CHECK fault_rsp, %rbx
    popq %rax
    CHECK %rax, $77
    TEST "CALL with a missing stack does not jump"
    movq %rsp, %rbx
    EXPECT_RESUME 1f
    movq $END+8, %rsp
2:  call main
1:  CHECKL fault_vector, $14
    CHECK fault_rip, $2b
    TEST "XCHG, CMPXCHG16B and their operands"
    MAP 1, 5
    movl $5, %eax
    FAULT 14, 3, xchgl %eax, END
    CHECKL %eax, $5
    xorl %eax, %eax
    xorl %edx, %edx
    FAULT 14, 3, lock cmpxchg16b END
    FAULT 13, 0, lock cmpxchg16b END-8
    UNMAP 1

    TEST "instruction over the page's end"
    # MOV EAX, imm32 in the last two bytes.
    movw $0x78b8, FRAME_END-2
    movq $END-2, %rbx
    EXPECT_RESUME 1f
    jmp *%rbx
1:  CHECKL fault_vector, $14
    CHECKL fault_error, $0x10
    CHECK fault_rip, $END-2
    CHECK fault_cr2, $END
    MAP 1, 7
    movl $0xc3123456, FRAME_END
    EXPECT_RESUME 1f
    call *%rbx
1:  CHECKL fault_vector, $-1
    CHECKL %eax, $0x12345678
    TEST "its second page changes"
    movl $0xc3123457, FRAME_END
    call *%rbx
    CHECKL %eax, $0x12345778
    movl $0xc3123458, END
    call *%rbx
    CHECKL %eax, $0x12345878
    TEST "its second page moves"
    movl $0xc3223458, FRAME_END+0x1000
    movq $FRAME_END+0x1000+7, PT_TEST+8
    invlpg END
    call *%rbx
    CHECKL %eax, $0x22345878
    movq $FRAME_END+7, PT_TEST+8
    invlpg END
    call *%rbx
    CHECKL %eax, $0x12345878
    TEST "its second page is not for code"
    btsq $63, PT_TEST+8
    invlpg END
    EXPECT_RESUME 1f
    call *%rbx
1:  CHECKL fault_vector, $14
    CHECKL fault_error, $0x11
    CHECK fault_rip, $END-2
    CHECK fault_cr2, $END
    TEST "execution runs into a missing page"
    UNMAP 1
    movw $0x9090, FRAME_END-2
    EXPECT_RESUME 1f
    jmp *%rbx
1:  CHECK fault_rip, $END
    CHECK fault_cr2, $END
    TEST "an undefined encoding at the page's end needs no second page"
    # 0F at the end needs the next byte; 06 is undefined by itself.
    movb $0x06, FRAME_END-1
    movq $END-1, %rbx
    EXPECT_RESUME 1f
    jmp *%rbx
1:  CHECKL fault_vector, $6
    movb $0x0f, FRAME_END-1
    EXPECT_RESUME 1f
    jmp *%rbx
1:  CHECKL fault_vector, $14
    TEST "15 bytes at most"
    MAP 1, 7
    movl $15, %ecx
    movl $0x66, %eax
    movl $END-4, %edi
    rep stosb
    movb $0x90, (%rdi)
    movb $0xc3, 1(%rdi)
    movq $END-4, %rbx
    EXPECT_RESUME 1f
    call *%rbx
1:  CHECKL fault_vector, $13
    CHECKL fault_error, $0
    CHECK fault_rip, %rbx
    movq $END-3, %rbx
    EXPECT_RESUME 1f
    call *%rbx
1:  CHECKL fault_vector, $-1

    TEST "REP MOVSB stops where a page is missing"
    UNMAP 1
    movl $END-5, %esi
    movl $SCRATCH, %edi
    movl $9, %ecx
    FAULT 14, 0, rep movsb
    CHECK fault_cr2, $END
    CHECK %rcx, $4
    CHECK %rsi, $END
    CHECK %rdi, $SCRATCH+5
    TEST "REP MOVSQ to a missing page"
    movl $SCRATCH, %esi
    movl $END-20, %edi
    movl $4, %ecx
    FAULT 14, 2, rep movsq
    CHECK fault_cr2, $END
    CHECK %rcx, $2
    CHECK %rdi, $END-4
    CHECK %rsi, $SCRATCH+16
    TEST "REP STOSL backwards"
    UNMAP 0
    MAP 1, 7
    movl $END+8, %edi
    movl $10, %ecx
    movl $0x5a5a5a5a, %eax
    std
    FAULT 14, 2, rep stosl
    cld
    CHECK fault_cr2, $END-4
    CHECK %rcx, $7
    CHECK %rdi, $END-4
    CHECKL FRAME_END, $0x5a5a5a5a
    TEST "REPE CMPSB"
    MAP 0, 7
    UNMAP 1
    movl $END-4, %esi
    movl $SCRATCH+0x100, %edi
    movl $0, SCRATCH+0x100
    movl $0, FRAME_END-4
    movl $8, %ecx
    FAULT 14, 0, repe cmpsb
    CHECK %rcx, $4
    CHECK %rsi, $END
    TEST "REPNE SCASB goes on after the page comes"
    movl $END-4, %edi
    movl $8, %ecx
    movb $9, %al
    FAULT 14, 0, repne scasb
    CHECK %rcx, $4
    MAP 1, 7
    movl $0x09000000, FRAME_END
    repne scasb
    CHECK %rcx, $0
    CHECK %rdi, $END+4
    setz %al
    movzbl %al, %eax
    CHECKL %eax, $1
    TEST "MOVS of one element faults whole"
    UNMAP 1
    movl $SCRATCH, %esi
    movl $END-4, %edi
    FAULT 14, 2, movsq
    CHECK %rsi, $SCRATCH
    CHECK %rdi, $END-4
    TEST "a long REP STOS over many pages"
    MAP 1, 7
    MAP 2, 7
    MAP 3, 7
    UNMAP 4
    movl $TEST_PAGES, %edi
    movl $0x5000, %ecx
    movb $0x77, %al
    FAULT 14, 2, rep stosb
    CHECK fault_cr2, $TEST_PAGES+0x4000
    CHECK %rcx, $0x1000
    CHECK %rdi, $TEST_PAGES+0x4000
    CHECKL TEST_FRAMES+0x3ffc, $0x77777777

    TEST "ENTER and LEAVE"
    movq %rsp, %rbx
    movq %rbp, %rdx
    EXPECT_RESUME 1f
    movq $TEST_PAGES+0x5000+8, %rsp
2:  enter $16, $0
1:  CHECKL fault_vector, $14
    CHECK fault_rip, $2b
    CHECK %rbp, %rdx
    THE_END
